import { statfs } from 'node:fs/promises'
import { ExecError, type Exec } from '../exec.ts'
import { runInSystemOrHere } from '../system/chroot.ts'
import { openMount } from '../system/mount.ts'
import { nameOf, type Root } from '../system/root-choice.ts'
import { createSystemFiles, type SystemFiles } from '../system/system-files.ts'
import { readNtfs } from '../used/file-systems/ntfs-state.ts'
import { growNtfs, whyNtfsStays } from './ntfs.ts'

/** e2fsck: 0 clean, 1 errors corrected. */
const E2FSCK_CORRECTED = 1
const OFFLINE_TIMEOUT_SECONDS = 1800
/** resize2fs says so where it failed after it had begun. */
const ABORTED = 'aborted resize'

/** `refusal`: why it was left as it was, although there is room. */
type Growth = { beforeBytes: number; afterBytes: number; refusal?: string }

/** What can be told before its partition or volume is changed: no resize2fs grows clusters of blocks. */
export async function whyFileSystemStays(exec: Exec, root: Root): Promise<string | undefined> {
  if (root.fileSystem === 'ntfs') return await whyNtfsStays(exec, root.path)
  if (!root.fileSystem.startsWith('ext')) return undefined
  const { stdout } = await exec('dumpe2fs', ['-h', root.path])
  if (!/^Filesystem features:.*\bbigalloc\b/m.test(stdout)) return undefined
  return `The file system of ${nameOf(root)} has clusters of several blocks (bigalloc), which resize2fs does not grow`
}

/**
 * Grows a file system to the size of its partition or volume while it is mounted, with the deployed
 * system's own tool, which knows the features that its mkfs set, or else with ours. NTFS is grown
 * unmounted, with ours.
 */
export async function growFileSystem(exec: Exec, root: Root): Promise<Growth> {
  const { path: device, fileSystem } = root
  const beforeBytes = await measure(exec, root)
  let refusal: string | undefined
  try {
    if (fileSystem === 'ntfs') refusal = await growNtfs(exec, device)
    else {
      await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
      await growMounted(exec, root, createSystemFiles(mount.path))
    }
  } catch (err) {
    if (!(err instanceof ExecError) || !fileSystem.startsWith('ext')) throw err
    refusal = await growUnmounted(exec, root)
  }
  const afterBytes = await measure(exec, root)
  return { beforeBytes, afterBytes, ...(refusal !== undefined && { refusal }) }
}

async function growMounted(exec: Exec, root: Root, files: SystemFiles): Promise<void> {
  const { path: device, fileSystem } = root
  const common = { files, devices: [device] }
  if (fileSystem === 'xfs') {
    const request = { ...common, program: 'xfs_growfs', args: ['-d', '/'] }
    await runInSystemOrHere(exec, request, ['-d', files.root])
  } else if (fileSystem === 'btrfs') {
    const size = `${await btrfsDeviceId(exec, files.root, device)}:max`
    const request = { ...common, program: 'btrfs', args: ['filesystem', 'resize', size, '/'] }
    await runInSystemOrHere(exec, request, ['filesystem', 'resize', size, files.root])
  } else {
    const request = { ...common, program: 'resize2fs', args: [device] }
    await runInSystemOrHere(exec, request, [device])
  }
}

/**
 * For what the kernel cannot do while mounted, such as ext2 without room for descriptors. Answers why
 * resize2fs refused, before it changed anything: it alone knows how large a file system may become.
 */
async function growUnmounted(exec: Exec, root: Root): Promise<string | undefined> {
  const timeoutSeconds = OFFLINE_TIMEOUT_SECONDS
  const allowExitCodes = [E2FSCK_CORRECTED]
  await exec('e2fsck', ['-f', '-p', root.path], { timeoutSeconds, allowExitCodes })
  try {
    await exec('resize2fs', [root.path], { timeoutSeconds })
    return undefined
  } catch (err) {
    if (!(err instanceof ExecError) || err.exitCode === undefined) throw err
    if (err.stderr.includes(ABORTED)) throw err
    const said = err.stderr.trim().split('\n').at(-1)!
    return `There is room behind the file system of ${nameOf(root)} now, which it cannot take: ${said}`
  }
}

/** Not always 1: a file system may have moved from one device to another. */
async function btrfsDeviceId(exec: Exec, mountPath: string, device: string): Promise<number> {
  const { stdout } = await exec('btrfs', ['filesystem', 'show', '--raw', mountPath])
  return parseBtrfsDeviceId(stdout, device)
}

export function parseBtrfsDeviceId(text: string, device: string): number {
  const devices = [...text.matchAll(/^\s*devid\s+(\d+)\s.*\spath (\S+)$/gm)]
  if (devices.length !== 1 || devices[0]![2] !== device)
    throw new Error(`The btrfs on ${device} spans ${devices.length} devices and is left alone`)
  return Number(devices[0]![1])
}

async function measure(exec: Exec, root: Root): Promise<number> {
  const { path: device, fileSystem } = root
  if (fileSystem === 'ntfs') return (await readNtfs(exec, device)).sizeBytes
  await using mount = await openMount(exec, { device, fileSystem, mode: 'ro' })
  const { blocks, bsize } = await statfs(mount.path)
  return blocks * bsize
}
