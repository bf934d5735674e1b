import type { Exec } from '../exec.ts'
import { readBytes } from '../system/read-bytes.ts'
import { readNtfs, whyNotAtRest } from '../used/file-systems/ntfs-state.ts'
import { deviceBytes } from './partition-table.ts'

const TIMEOUT_SECONDS = 1800
/** Windows mounts no larger one, 16 TiB with clusters of 4 KiB; ntfsresize would make it. */
const MAX_CLUSTERS = 2 ** 32 - 1
const REFUSED = 1
/** What it says of its first write. */
const BEGUN = 'Schedule chkdsk'

/** What can be told before the partition is changed: ntfsresize empties the log, and asks nobody who sleeps. */
export async function whyNtfsStays(exec: Exec, path: string): Promise<string | undefined> {
  const peek = (start: number, length: number) => readBytes(path, start, length)
  const reason = await whyNotAtRest(exec, { path, peek }, await readNtfs(exec, path))
  return reason === undefined ? undefined : `The NTFS of ${path} cannot be grown: ${reason}`
}

/**
 * Grows an NTFS to the size of its partition, and has Windows check it when it starts next, as
 * ntfsresize does by itself. Answers why it refused, before it changed anything: bad clusters, damage.
 */
export async function growNtfs(exec: Exec, path: string): Promise<string | undefined> {
  const mostBytes = MAX_CLUSTERS * (await readNtfs(exec, path)).clusterBytes
  const size = (await deviceBytes(exec, path)) > mostBytes ? ['--size', String(mostBytes)] : []
  // It asks before the first write. A volume that is not in order it would want to be forced to take.
  const { exitCode, stdout, stderr } = await exec(
    'ntfsresize',
    ['--no-progress-bar', ...size, path],
    {
      input: 'y\n',
      timeoutSeconds: TIMEOUT_SECONDS,
      allowExitCodes: [REFUSED],
    },
  )
  if (exitCode === 0) return undefined
  const said = /^ERROR.*/m.exec(stdout + stderr)?.[0] ?? stderr.trim()
  if (stdout.includes(BEGUN))
    throw new Error(`ntfsresize failed after it had begun to grow ${path}: ${said}`)
  return `There is room behind the NTFS of ${path} now, which it cannot take: ${said}`
}
