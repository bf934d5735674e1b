import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempDisposable, open, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { IS_ROOT, mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openCapturedDisk, type CapturedDisk } from './captured-disk.ts'

const NTFS_PARTITION = 2
const LOGICAL_PARTITION = 5
/** In MiB: between the partitions there are gaps, as loaders and other tools use them. */
const TABLE = `label: dos
start=2048, size=${mib(40) / 512}, type=c, bootable
start=${mib(42) / 512}, size=${mib(40) / 512}, type=7
start=${mib(84) / 512}, size=${mib(20) / 512}, type=f
start=${mib(85) / 512}, size=${mib(18) / 512}, type=6
`
const HIDDEN = { at: 100 * 512, bytes: randomBytes(3000) }
const GAP = { at: mib(83), bytes: randomBytes(5000) }

/** Made and read with Debian's tools alone: no kernel needs to know either file system. */
describe('a disk with NTFS and FAT', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  const files = new Map([
    ['large.bin', randomBytes(3_500_000)],
    ['small.txt', Buffer.from('a few words')],
    ['empty', Buffer.alloc(0)],
  ])
  let disk: CapturedDisk
  before(async () => {
    disk = await openCapturedDisk({
      partitions: TABLE,
      sizeBytes: mib(106),
      prepare: (source) => prepare(source, files),
    })
  })
  after(() => disk?.[Symbol.asyncDispose]())

  it('is left as it was, and none of its partitions is copied whole', () => {
    assert.ok(disk.isUntouched)
    assert.deepEqual(disk.context.warnings, [])
    assert.ok(disk.context.facts.bytesUnused! > mib(80))
    assert.deepEqual(
      disk.info.partitions!.map(({ number, fileSystem }) => [number, fileSystem]),
      [
        [1, 'vfat'],
        [2, 'ntfs'],
        [3, undefined],
        [5, 'vfat'],
      ],
    )
  })

  it('has sound file systems in its copy', async () => {
    await exec('ntfsfix', ['--no-action', disk.target.partition(NTFS_PARTITION)])
    for (const number of [1, LOGICAL_PARTITION])
      await exec('fsck.fat', ['-n', disk.target.partition(number)])
  })

  it('brings every file of NTFS, FAT32, and the FAT16 of a logical partition', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-files-'))
    for (const [name, content] of files) {
      const copy = join(folder.path, name)
      const ntfs = disk.target.partition(NTFS_PARTITION)
      await exec('sh', ['-c', 'ntfscat "$0" "$1" > "$2"', ntfs, `/${name}`, copy])
      assert.deepEqual(await readFile(copy), content)
      for (const number of [1, LOGICAL_PARTITION]) {
        await exec('mcopy', ['-n', '-o', '-i', disk.target.partition(number), `::${name}`, copy])
        assert.deepEqual(await readFile(copy), content)
      }
    }
  })

  it('brings what lies between the partitions', async () => {
    const [original, copy] = [await readFile(disk.source.path), await readFile(disk.target.path)]
    for (const [start, end] of [
      [0, mib(1)],
      [mib(41), mib(42)],
      [mib(82), mib(85)],
      [mib(103), mib(106)],
    ])
      assert.deepEqual(copy.subarray(start, end), original.subarray(start, end))
    assert.ok(copy.includes(HIDDEN.bytes))
    assert.ok(copy.includes(GAP.bytes))
  })
})

async function prepare(disk: LoopDisk, files: ReadonlyMap<string, Buffer>): Promise<void> {
  const ntfs = disk.partition(NTFS_PARTITION)
  await exec('mkntfs', ['-q', '-F', '-Q', ntfs])
  await exec('mkfs.vfat', ['-F', '32', '-s', '1', disk.partition(1)])
  await exec('mkfs.vfat', ['-F', '16', disk.partition(LOGICAL_PARTITION)])
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-files-'))
  for (const [name, content] of files) {
    const path = join(folder.path, name)
    await writeFile(path, content)
    await exec('ntfscp', ['-q', ntfs, path, `/${name}`])
    for (const number of [1, LOGICAL_PARTITION])
      await exec('mcopy', ['-i', disk.partition(number), path, `::${name}`])
  }
  await using device = await open(disk.path, 'r+')
  for (const { at, bytes } of [HIDDEN, GAP]) await device.write(bytes, 0, bytes.length, at)
}
