import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { deviceNumber } from '../device-number.ts'
import { ExecError, type Exec, type ExecResult } from '../exec.ts'
import type { SystemFiles } from './system-files.ts'

/** Our script could not set up the chroot, or chroot(1) could not start the program. */
const NOT_STARTED = new Set([124, 125, 126, 127])
const PROGRAM_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin']
const TIMEOUT_SECONDS = 600

/**
 * Runs in a mount namespace of its own, so /dev, /proc, /sys and /run vanish with the program. /dev
 * holds the harmless nodes and those of the target disk: a clone on another disk has none here.
 */
const SCRIPT = `
root=$1 nodes=$2; shift 2
{
  mount -t tmpfs -o mode=755,nosuid,size=1m tmpfs "$root/dev" &&
  mknod -m 666 "$root/dev/null" c 1 3 && mknod -m 666 "$root/dev/zero" c 1 5 &&
  mknod -m 666 "$root/dev/full" c 1 7 && mknod -m 666 "$root/dev/random" c 1 8 &&
  mknod -m 666 "$root/dev/urandom" c 1 9 && mknod -m 666 "$root/dev/tty" c 5 0 &&
  ln -s /proc/self/fd "$root/dev/fd" &&
  for node in $nodes; do
    numbers=\${node#*:}
    mknod -m 600 "$root/dev/\${node%%:*}" b "\${numbers%:*}" "\${numbers#*:}" || exit 124
  done &&
  mount -t proc -o nosuid,nodev,noexec proc "$root/proc" &&
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys" &&
  mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
} || exit 124
PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec env -i PATH="$PATH" HOME=/root LC_ALL=C chroot "$root" "$@"
`

export type ChrootRequest = {
  files: SystemFiles
  /** Block devices that the program may see, by their paths on our side. */
  devices: readonly string[]
  program: string
  args: readonly string[]
  allowExitCodes?: readonly number[]
}

/** Where the deployed system keeps a program; undefined if it has none of this name. */
export async function findProgram(files: SystemFiles, name: string): Promise<string | undefined> {
  for (const folder of PROGRAM_FOLDERS)
    if ((await files.kind(`${folder}/${name}`)) === 'file') return `${folder}/${name}`
  return undefined
}

/**
 * Runs a program of the deployed system in its own root. Undefined if it lacks the program or the
 * program cannot run here, as one for another processor. Throws ExecError if it ran and failed.
 */
export async function runInSystem(
  exec: Exec,
  { files, devices, program, args, allowExitCodes = [] }: ChrootRequest,
): Promise<ExecResult | undefined> {
  const path = await findProgram(files, program)
  if (!path) return undefined
  for (const folder of ['/dev', '/proc', '/sys', '/run'])
    if (!(await isPlainFolder(files, folder))) return undefined
  const nodes = await Promise.all(devices.map((device) => describeNode(device)))
  const isolation = ['-m', '-u', '-i', '-n', '--propagation', 'private']
  const script = ['sh', '-c', SCRIPT, 'sh', files.root, nodes.join(' '), path, ...args]
  const options = {
    timeoutSeconds: TIMEOUT_SECONDS,
    allowExitCodes: [...NOT_STARTED, ...allowExitCodes],
  }
  const result = await exec('unshare', [...isolation, ...script], options)
  return NOT_STARTED.has(result.exitCode) ? undefined : result
}

/** As runInSystem, with our own program of that name where the system's cannot do it. */
export async function runInSystemOrHere(
  exec: Exec,
  request: ChrootRequest,
  ownArgs: readonly string[],
): Promise<ExecResult> {
  try {
    const result = await runInSystem(exec, request)
    if (result) return result
  } catch (err) {
    if (!(err instanceof ExecError)) throw err
  }
  const { program, allowExitCodes = [] } = request
  return await exec(program, ownArgs, { timeoutSeconds: TIMEOUT_SECONDS, allowExitCodes })
}

/** A link there could send our mounts elsewhere. */
async function isPlainFolder(files: SystemFiles, path: string): Promise<boolean> {
  if ((await files.linkTarget(path)) !== undefined) return false
  return (await files.kind(path)) === 'folder'
}

/** `sda2:8:2`, as the script takes it. */
async function describeNode(path: string): Promise<string> {
  const { rdev } = await stat(path)
  return `${basename(path)}:${deviceNumber(rdev)}`
}
