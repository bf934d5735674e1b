import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { describe, it } from 'node:test'
import { exec, type Exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { cancelAfter } from './held-program.ts'
import { IS_ROOT, openLoopDisk } from './loop-disk.ts'

const MIB = 1024 * 1024

describe(
  'a file system with its journal on another device',
  { skip: !IS_ROOT && 'needs root' },
  () => {
    it('is refused before anything is written to either', async () => {
      await using other = await openLoopDisk(64 * MIB)
      await exec('mke2fs', ['-q', '-O', 'journal_dev', '-b', '1024', other.path])
      await using disk = await openLoopDisk(128 * MIB)
      await disk.sfdisk('label: gpt\nstart=2048\n')
      await disk.format(1, 'ext4', ['-q', '-b', '1024', '-J', `device=${other.path}`])
      const before = await Promise.all([digestOf(disk.path), digestOf(other.path)])

      for (const mode of ['ro', 'rw'] as const)
        await assert.rejects(
          openMount(exec, { device: disk.partition(1), fileSystem: 'ext4', mode }),
          /keeps its journal .* on another device/,
        )
      assert.deepEqual(await Promise.all([digestOf(disk.path), digestOf(other.path)]), before)
    })
  },
)

describe('a run that is cancelled', { skip: !IS_ROOT && 'needs root' }, () => {
  it('lets go of what was mounted in that moment', async () => {
    await using disk = await openLoopDisk(64 * MIB)
    await disk.sfdisk('label: gpt\nstart=2048\n')
    await disk.format(1, 'ext4', ['-q'])
    const device = disk.partition(1)
    const isMounted = async () => (await readFile('/proc/self/mounts', 'utf8')).includes(device)
    await cancelAfter('mount', isMounted, async (signal) => {
      const bound: Exec = (command, args, options) => exec(command, args, { ...options, signal })
      await using _opened = await openMount(bound, { device, fileSystem: 'ext4', mode: 'ro' })
    })
    assert.equal(await isMounted(), false)
  })
})

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
