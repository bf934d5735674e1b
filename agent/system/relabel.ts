import { ExecError, type Exec } from '../exec.ts'
import { runInSystem } from './chroot.ts'
import type { SystemFiles } from './system-files.ts'

/**
 * Our kernel has no SELinux policy, so files that we make have no label, and services may not read
 * them. setfiles(8) of the system labels them; without it, the system relabels all at its next boot.
 */
export async function relabel(
  exec: Exec,
  files: SystemFiles,
  written: ReadonlySet<string>,
): Promise<void> {
  const config = (await files.read('/etc/selinux/config')) ?? ''
  const mode = /^\s*SELINUX\s*=\s*(\w+)/m.exec(config)?.[1]
  const policy = /^\s*SELINUXTYPE\s*=\s*([\w-]+)/m.exec(config)?.[1]
  if (!mode || mode === 'disabled' || !policy || written.size === 0) return
  const contexts = `/etc/selinux/${policy}/contexts/files/file_contexts`
  try {
    // Host keys were made by ssh-keygen and not by us.
    const args = ['-F', contexts, '/etc/ssh', ...written]
    if (await runInSystem(exec, { files, devices: [], program: 'setfiles', args })) return
  } catch (err) {
    if (!(err instanceof ExecError)) throw err
  }
  await files.write('/.autorelabel', '')
}
