import { existsSync } from 'node:fs'
import { truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { exec } from '#agent/exec.ts'
import { partitionPath } from '#agent/steps/step.ts'
import { openMount } from '#agent/system/mount.ts'
import { openLoopDevice } from '#test/support/loop-device.ts'

/** A disk in a file, attached to a loop device; needs root. */
export interface LoopDisk extends AsyncDisposable {
  readonly path: string
  readonly file: string
  partition(number: number): string
  /** As if the content had been written to a larger disk. */
  enlarge(sizeBytes: number): Promise<void>
  sfdisk(script: string): Promise<void>
  format(number: number, fileSystem: string, args?: string[]): Promise<void>
  /** Lets `use` work in the mounted partition. */
  inside<T>(number: number, fileSystem: string, use: (path: string) => Promise<T>): Promise<T>
}

const MIB = 1024 * 1024
/** In memory where possible: mkfs and unmounting flush a lot, and the files are mostly holes. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export const IS_ROOT = process.getuid?.() === 0

export async function openLoopDisk(
  sizeBytes: number,
  sectorBytes: 512 | 4096 = 512,
): Promise<LoopDisk> {
  await using opened = new AsyncDisposableStack()
  const device = await openLoopDevice({ sizeBytes, sectorBytes, folder: FOLDER })
  const { path, file } = opened.use(device)
  opened.defer(async () => {
    await exec('partx', ['--delete', path], { allowExitCodes: [1] })
  })
  const resources = opened.move()
  const disk: LoopDisk = {
    path,
    file,
    partition: (number) => partitionPath(path, number),
    async enlarge(size) {
      await truncate(file, size)
      await exec('losetup', ['--set-capacity', path])
    },
    async sfdisk(script) {
      await exec('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', path], { input: script })
      await exec('partx', ['--add', path])
    },
    async format(number, fileSystem, args = []) {
      await exec(`mkfs.${fileSystem}`, [...args, disk.partition(number)])
    },
    async inside(number, fileSystem, use) {
      const device = disk.partition(number)
      await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
      return await use(mount.path)
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
  return disk
}

export function mib(count: number): number {
  return count * MIB
}
