import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { IS_ROOT, mib } from '#test/agent/system/loop-disk.ts'
import { makeRaidMember } from '#test/support/delicate-disks.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import { openCapturedDisk } from './captured-disk.ts'
import {
  bitLocker,
  change,
  crash,
  cutBtrfs,
  damagedExt4,
  dirtyExt2,
  dirtyExt4,
  dirtyFat,
  dirtyNtfs,
  halfBtrfs,
  hashedExt4,
  hibernatedNtfs,
  luks,
  neglectedExt4,
  nestedDisk,
  nestedMacDisk,
  oldFat16,
  realtimeXfs,
  secondTableFat,
  uncleanNtfs,
} from './doubtful-contents.ts'

/** Contents of a partition of which nothing may be missing, and why. */
const CASES: { what: string; sizeBytes?: number; reason: RegExp; prepare: Prepare }[] = [
  {
    what: 'an ext4 with a journal to replay',
    reason: /journal has not been replayed/,
    prepare: dirtyExt4,
  },
  { what: 'an ext2 that was not unmounted', reason: /marked "not clean"/, prepare: dirtyExt2 },
  {
    what: 'an XFS with a log to replay',
    sizeBytes: mib(320),
    reason: /log has not been replayed/,
    prepare: (device) => crash(device, 'xfs'),
  },
  {
    what: 'a btrfs with a log to replay',
    sizeBytes: mib(128),
    reason: /log has not been replayed/,
    prepare: (device) => crash(device, 'btrfs'),
  },
  { what: 'an NTFS that is marked dirty', reason: /marked dirty/, prepare: dirtyNtfs },
  {
    what: 'an NTFS with a log to replay',
    reason: /log has not been replayed/,
    prepare: uncleanNtfs,
  },
  { what: 'a hibernated Windows', reason: /hibernated/, prepare: hibernatedNtfs },
  {
    what: 'a FAT32 that was not unmounted',
    reason: /not unmounted/,
    prepare: (d) => dirtyFat(d, 32),
  },
  {
    what: 'a FAT16 that was not unmounted',
    reason: /not unmounted/,
    prepare: (d) => dirtyFat(d, 16),
  },
  {
    what: 'a FAT12',
    reason: /FAT12/,
    prepare: (device) => exec('mkfs.vfat', ['-F', '12', '-s', '64', device]).then(() => {}),
  },
  {
    what: 'a FAT16 of an old DOS',
    reason: /FAT16 that does not say so/,
    prepare: oldFat16,
  },
  {
    what: 'a FAT32 of which only the second table is kept',
    reason: /only one of its tables/,
    prepare: secondTableFat,
  },
  {
    what: 'an ext4 that was mounted too often without a check',
    reason: /partclone.*mounted 5 times/,
    prepare: neglectedExt4,
  },
  { what: 'an ext4 with damaged bitmaps', reason: /partclone|dumpe2fs/, prepare: damagedExt4 },
  {
    what: 'one device of a btrfs of two',
    sizeBytes: mib(128),
    reason: /one of 2 devices/,
    prepare: halfBtrfs,
  },
  {
    what: 'an XFS with a realtime section',
    sizeBytes: mib(320),
    reason: /partclone.*real-time section/,
    prepare: realtimeXfs,
  },
  {
    what: 'a btrfs larger than its partition',
    sizeBytes: mib(128),
    reason: /has 419430400 bytes/,
    prepare: cutBtrfs,
  },
  {
    what: 'an ext4 with hashes of all of it behind it',
    reason: /hashes of all of it lie behind it/,
    prepare: hashedExt4,
  },
  {
    what: 'the disk of a virtual machine, in what was an ext4',
    reason: /table of its own and "ext4"/,
    prepare: nestedDisk,
  },
  {
    what: 'the disk of a Macintosh of old, in what was a btrfs',
    sizeBytes: mib(128),
    reason: /table of its own and "btrfs"/,
    prepare: nestedMacDisk,
  },
  { what: 'LUKS', reason: /encrypted volume \(LUKS\)/, prepare: luks },
  { what: 'BitLocker', reason: /encrypted volume \(BitLocker\)/, prepare: bitLocker },
  {
    what: 'a RAID member',
    reason: /member of a RAID/,
    prepare: (path) => makeRaidMember({ path }),
  },
  { what: 'nothing that is known', reason: /no known file system/, prepare: async () => {} },
]
type Prepare = (device: string) => Promise<void>

const DEFAULT_BYTES = mib(48)

describe('copied whole', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  for (const { what, sizeBytes = DEFAULT_BYTES, reason, prepare } of CASES) {
    it(`${what}: every byte arrives, and the image says why`, async () => {
      await using disk = await openCapturedDisk({
        partitions: [sizeBytes],
        sizeBytes: sizeBytes + mib(2),
        async prepare(source) {
          const device = source.partition(1)
          await writeFile(device, randomBytes(mib(4)), { flag: 'r+' })
          await prepare(device)
        },
      })
      assert.ok(disk.isUntouched)
      const [{ partition, reason: told } = {}] = disk.info.copiedWhole ?? []
      assert.equal(partition, 1)
      assert.match(told!, reason)
      assert.match(disk.context.warnings.join(), reason)
      assert.equal(disk.context.facts.bytesUnused, 0)
      const [before, after] = await Promise.all(
        [disk.source, disk.target].map((one) => fileDigest(one.partition(1))),
      )
      assert.equal(after, before)
    })
  }

  it('a partition that reaches into the extended one, and with it the way to logical ones', async () => {
    const overlapping = 'label: dos\nstart=1MiB, size=40MiB\nstart=31MiB, size=20MiB, type=5\n'
    const chainAt = mib(31)
    await using disk = await openCapturedDisk({
      partitions: [],
      sizeBytes: mib(64),
      async prepare(source) {
        await exec('mkfs.ext4', ['-q', '-E', `offset=${mib(1)}`, source.path, '40m'])
        const write = ['--quiet', '--no-reread', '--wipe', 'never', '--force', source.path]
        await exec('sfdisk', write, { input: overlapping.replace('40MiB', '20MiB') })
        await change(source.path, 446 + 12, uint32(mib(40) / 512))
        await change(source.path, chainAt, logicalPartition(4096, 8192))
      },
    })
    const reasons = disk.info.copiedWhole?.map(({ reason }) => reason)
    assert.deepEqual(reasons, ['Partition 1: it overlaps the extended partition'])
    assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
  })

  it('a partition where the MBR beside a GPT has another one', async () => {
    await using disk = await openCapturedDisk({
      partitions: [mib(60)],
      sizeBytes: mib(64),
      async prepare(source) {
        await exec('mkfs.ext4', ['-q', source.partition(1)])
        await change(source.path, 446 + 16, entry(0x83, mib(21) / 512, mib(40) / 512))
        await change(source.path, mib(24), randomBytes(mib(30)))
      },
    })
    const reasons = disk.info.copiedWhole?.map(({ reason }) => reason)
    assert.deepEqual(reasons, ['Partition 1: it overlaps a partition that only the MBR lists'])
    assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
  })

  it('a disk with exFAT and no partition table, which is not damaged', async () => {
    await using disk = await openCapturedDisk({
      partitions: [],
      sizeBytes: mib(64),
      prepare: (source) => change(source.path, 0, exfatBootSector()),
    })
    assert.match(disk.info.copiedWhole?.[0]?.reason ?? '', /^The disk: it is of type "exfat"/)
    assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
  })

  it('a disk with a damaged partition table over the rest of an older file system', async () => {
    await using disk = await openCapturedDisk({
      partitions: [],
      sizeBytes: mib(160),
      async prepare(source) {
        const { path } = source
        await exec('mkfs.btrfs', ['-q', path])
        await source.sfdisk('label: gpt\nstart=100MiB, size=40MiB\n')
        await change(path, mib(100), randomBytes(mib(40)))
        await change(path, 512 + 16, randomBytes(4)) // the checksum of the first header
      },
    })
    const [{ reason } = {}] = disk.info.copiedWhole ?? []
    assert.match(reason!, /damaged partition table and "btrfs"/)
    assert.equal(disk.context.facts.bytesUnused, 0)
    assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
  })

  it('everything, where the run says so', async () => {
    await using disk = await openCapturedDisk({
      partitions: [DEFAULT_BYTES],
      sizeBytes: DEFAULT_BYTES + mib(2),
      prepare: (source) => exec('mkfs.ext4', ['-q', source.partition(1)]).then(() => undefined),
      options: { wholeDisk: true },
    })
    assert.deepEqual(disk.context.warnings, [])
    assert.equal(disk.context.facts.bytesUnused, 0)
    assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
  })
})

/** Of a volume of 64 MiB, as mkfs.exfat writes it: without code. */
function exfatBootSector(): Buffer {
  const sector = Buffer.alloc(512)
  sector.write('\xeb\x76\x90EXFAT   ', 'latin1')
  sector.writeUInt32LE(mib(64) / 512, 72)
  sector.writeUInt32LE(2048, 80) // its table: where, and how long
  sector.writeUInt32LE(128, 84)
  sector.writeUInt32LE(4096, 88) // its clusters: where, and how many
  sector.writeUInt32LE(15_872, 92)
  sector.writeUInt32LE(5, 96) // the cluster of its root
  sector.writeUInt16LE(0x100, 104)
  Buffer.of(9, 3, 1, 0x80).copy(sector, 108) // sectors of 2^9 bytes, clusters of 2^3 sectors, one table
  sector.writeUInt16BE(0x55aa, 510)
  return sector
}

/** The sector that leads to a logical partition. */
function logicalPartition(start: number, sectors: number): Buffer {
  const sector = Buffer.alloc(512)
  entry(0x83, start, sectors).copy(sector, 446)
  sector.writeUInt16BE(0x55aa, 510)
  return sector
}

/** Of an MBR. */
function entry(type: number, start: number, sectors: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes[4] = type
  return Buffer.concat([bytes.subarray(0, 8), uint32(start), uint32(sectors)])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
