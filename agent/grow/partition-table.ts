import { open } from 'node:fs/promises'
import type { Layout } from '#protocol/disk/disk-layout.ts'
import type { PartitionChange } from '#protocol/disk/growth.ts'
import type { Exec } from '../exec.ts'
import { readLayout } from '../system/layout.ts'
import { keepBootFlags } from './boot-flag.ts'

/**
 * Moves the backup GPT to the true end of the disk and lets the table use all of it; sfdisk keeps
 * GUIDs, names and attributes, and the boot code in sector 0.
 */
export async function moveBackupGpt(exec: Exec, diskPath: string): Promise<Layout> {
  await keepBootFlags(diskPath, () =>
    exec('sfdisk', [...QUIET, '--relocate', 'gpt-bak-std', diskPath]),
  )
  return await readLayout(exec, diskPath)
}

/** Writes new sizes and tells the kernel, which takes them although a volume on them is active. */
export async function resizePartitions(
  exec: Exec,
  diskPath: string,
  changes: readonly PartitionChange[],
): Promise<void> {
  for (const { number, sizeSectors } of changes) {
    // Fields that are not given (start, type, name, …) stay as they are.
    const input = `,${sizeSectors}\n`
    const args = [...QUIET, '-N', String(number), diskPath]
    await keepBootFlags(diskPath, () => exec('sfdisk', args, { input }))
  }
  const numbers = changes.map((change) => change.number)
  const range = `${Math.min(...numbers)}:${Math.max(...numbers)}`
  await exec('partx', ['--update', '--nr', range, diskPath])
}

/** The kernel's reading is left alone: with a volume active, it could not be replaced as a whole. */
const QUIET = ['--quiet', '--no-reread', '--no-tell-kernel']

/** Size of a disk, partition or volume. */
export async function deviceBytes(exec: Exec, path: string): Promise<number> {
  const { stdout } = await exec('blockdev', ['--getsize64', path])
  return Number(stdout)
}

/** All that was written to the device is on it. */
export async function flushDevice(path: string): Promise<void> {
  await using device = await open(path, 'r+')
  await device.sync()
}
