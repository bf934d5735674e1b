import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempDisposable, open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { IS_ROOT, mib, openLoopDisk } from '#test/agent/system/loop-disk.ts'
import { makeRaidMember } from '#test/support/delicate-disks.ts'
import { openNtfs } from '#test/support/file-system-disk.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import { openCapturedDisk } from './captured-disk.ts'

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

async function change(device: string, at: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(device, 'r+')
  await file.write(bytes, 0, bytes.length, at)
}

async function dirtyExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-O', '^metadata_csum', device])
  await exec('debugfs', ['-w', '-R', 'feature needs_recovery', device])
}

async function dirtyExt2(device: string): Promise<void> {
  await exec('mkfs.ext2', ['-q', '-F', device])
  await exec('debugfs', ['-w', '-R', 'set_super_value state 0', device])
}

async function damagedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', device])
  const { stdout } = await exec('dumpe2fs', [device])
  const bitmap = Number(/Block bitmap at (\d+)/.exec(stdout)![1])
  const blockBytes = Number(/^Block size:\s+(\d+)/m.exec(stdout)![1])
  await change(device, bitmap * blockBytes, randomBytes(blockBytes))
}

/** As a power cut leaves it: a copy of the device while a file system on it has something logged. */
async function crash(device: string, fileSystem: string): Promise<void> {
  await exec(`mkfs.${fileSystem}`, ['-q', '-f', device])
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-crash-'))
  const copy = join(folder.path, 'copy')
  {
    await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
    const path = join(mount.path, 'logged')
    await writeFile(path, 'old')
    await exec('sync', ['-f', mount.path])
    await writeFile(path, randomBytes(100_000), { flag: 'r+', flush: true })
    // Past the page cache: to flush that would empty the log, too.
    await exec('dd', [`if=${device}`, `of=${copy}`, 'bs=1M', 'iflag=direct', 'conv=sparse'])
  }
  await exec('dd', [`if=${copy}`, `of=${device}`, 'bs=1M', 'conv=fsync'])
}

async function dirtyNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  await exec('ntfsfix', [device]) // without -d it asks Windows for a check
}

async function uncleanNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  const { stdout } = await exec('ntfscluster', ['-I', '2', device])
  const log = Number(/Length\s+0\s+(\d+)/.exec(stdout)![1]) * 4096
  const page = Buffer.alloc(4096)
  page.write('RSTR', 'latin1')
  page.writeUInt16LE(0x30, 0x18)
  page.writeBigUInt64LE(1000n, 0x30)
  page.writeUInt16LE(0, 0x30 + 12) // a client is using it
  await change(device, log, Buffer.concat([page, page]))
}

async function hibernatedNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  await using mount = await openNtfs(device, 'rw')
  await writeFile(join(mount.path, 'hiberfil.sys'), Buffer.alloc(100_000, 'HIBR'))
}

async function dirtyFat(device: string, bits: 16 | 32): Promise<void> {
  await exec('mkfs.vfat', ['-F', String(bits), '-s', bits === 32 ? '1' : '4', device])
  await change(device, bits === 32 ? 0x41 : 0x25, Buffer.of(1))
}

/** Boot code lies where others have their names; a "2" where a FAT32 would say so. */
async function oldFat16(device: string): Promise<void> {
  await exec('mkfs.vfat', ['-F', '16', '-s', '4', device])
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-fat-'))
  const file = join(folder.path, 'file')
  // The first two of one cluster each: their entries look like a FAT32 in order.
  for (const [name, size] of [
    ['A', 1000],
    ['B', 1000],
    ['C', mib(8)],
  ] as const) {
    await writeFile(file, randomBytes(size))
    await exec('mcopy', ['-i', device, file, `::${name}`])
  }
  await change(device, 0x24, Buffer.of(0x80))
  await change(device, 0x26, Buffer.alloc(0x56 - 0x26, 0x90))
  await change(device, 0x56, Buffer.from('2'))
}

/** The first table stays as empty as it was: partclone would find nothing in use. */
async function secondTableFat(device: string): Promise<void> {
  await exec('mkfs.vfat', ['-F', '32', '-s', '1', device])
  await change(device, 0x28, Buffer.of(0x81))
}

async function neglectedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', device])
  await exec('tune2fs', ['-c', '3', '-C', '5', device])
}

async function realtimeXfs(device: string): Promise<void> {
  await using realtime = await openLoopDisk(mib(32))
  await exec('mkfs.xfs', ['-q', '-f', '-r', `rtdev=${realtime.path}`, device])
}

/** As dm-verity goes by: a superblock, and then the hashes. */
async function hashedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard', device, '40m'])
  const superblock = Buffer.alloc(512)
  superblock.write('verity', 'latin1')
  superblock.writeUInt32LE(1, 8)
  await change(device, mib(40), superblock)
}

/** As a partition table that was made anew, too small, leaves it. */
async function cutBtrfs(device: string): Promise<void> {
  await using large = await openLoopDisk(mib(400))
  await exec('mkfs.btrfs', ['-q', '-f', large.path])
  await exec('dd', [`if=${large.path}`, `of=${device}`, 'bs=1M', 'count=128', 'conv=fsync'])
}

/** Bitmaps of an ext4 lie close to its beginning, where sfdisk writes nothing. */
async function nestedDisk(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', device])
  const input = 'label: dos\nstart=20480, size=65536\n'
  await exec('sfdisk', ['--quiet', '--no-reread', '--wipe', 'never', device], { input })
  await change(device, mib(10), randomBytes(mib(32)))
}

/** A first sector and an entry for the map itself (Inside Macintosh: Devices); btrfs begins behind them. */
async function nestedMacDisk(device: string): Promise<void> {
  await exec('mkfs.btrfs', ['-q', '-f', device])
  const map = Buffer.alloc(1024)
  map.write('ER', 0, 'latin1')
  map.writeUInt16BE(512, 2)
  map.write('PM', 512, 'latin1')
  map.writeUInt32BE(1, 512 + 4)
  map.writeUInt32BE(1, 512 + 8)
  map.writeUInt32BE(63, 512 + 12)
  map.write('Apple_partition_map', 512 + 48, 'latin1')
  await change(device, 0, map)
  await change(device, mib(100), randomBytes(mib(20)))
}

async function halfBtrfs(device: string): Promise<void> {
  await using other = await openLoopDisk(mib(128))
  await exec('mkfs.btrfs', ['-q', '-f', device, other.path])
}

async function luks(device: string): Promise<void> {
  const header = Buffer.alloc(4096)
  header.write('LUKS\xba\xbe', 'latin1')
  header.writeUInt16BE(1, 6)
  header.write('6fb4a2ab-2b3a-4c79-8d6e-5a0f7b3a1d11', 168, 'latin1')
  await change(device, 0, header)
}

async function bitLocker(device: string): Promise<void> {
  const header = Buffer.alloc(8192)
  header.write('\xeb\x58\x90-FVE-FS-', 'latin1')
  header.writeBigUInt64LE(4096n, 0xb0) // where its metadata lies
  header.write('-FVE-FS-', 4096, 'latin1')
  header.writeUInt16LE(2, 4096 + 10)
  await change(device, 0, header)
}
