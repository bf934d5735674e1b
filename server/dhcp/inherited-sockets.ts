/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3

/**
 * The descriptor that a systemd `.socket` unit passed under a name (FileDescriptorName=), or
 * undefined. Variables that were meant for another process (LISTEN_PID) do not count.
 */
export function findInheritedSocket(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  name: string,
): number | undefined {
  if (Number(env['LISTEN_PID']) !== pid) return undefined
  const count = Number(env['LISTEN_FDS'] ?? 0)
  const index = (env['LISTEN_FDNAMES'] ?? '').split(':').slice(0, count).indexOf(name)
  return index < 0 ? undefined : FIRST_DESCRIPTOR + index
}
