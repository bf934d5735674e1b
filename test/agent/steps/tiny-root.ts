import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, statfs, writeFile } from 'node:fs/promises'
import { exec } from '#agent/exec.ts'
import { mib, type LoopDisk } from '../system/loop-disk.ts'
import { writeTinySystem } from '../system/tiny-system.ts'

const CONTENT = randomBytes(mib(5))

export async function installTiny(
  disk: LoopDisk,
  number: number,
  fileSystem: string,
): Promise<void> {
  await disk.inside(number, fileSystem, async (root) => {
    await writeTinySystem(root)
    await writeFile(`${root}/content`, CONTENT)
  })
}

export async function sizeAndContent(disk: LoopDisk, number: number, fileSystem: string) {
  return await disk.inside(number, fileSystem, async (root) => {
    assert.deepEqual(await readFile(`${root}/content`), CONTENT)
    const { blocks, bsize } = await statfs(root)
    return blocks * bsize
  })
}

const CHECKS: Record<string, string[]> = {
  ext2: ['e2fsck', '-f', '-n'],
  ext3: ['e2fsck', '-f', '-n'],
  ext4: ['e2fsck', '-f', '-n'],
  xfs: ['xfs_repair', '-n'],
  btrfs: ['btrfs', 'check', '--readonly'],
}

export async function checkFileSystem(
  disk: LoopDisk,
  number: number,
  fileSystem: string,
): Promise<void> {
  const [program, ...args] = CHECKS[fileSystem]!
  await exec(program!, [...args, disk.partition(number)])
}

export async function sizeOfRoot(disk: LoopDisk): Promise<number> {
  return await disk.inside(1, 'ext4', async (root) => {
    const { blocks, bsize } = await statfs(root)
    return blocks * bsize
  })
}
