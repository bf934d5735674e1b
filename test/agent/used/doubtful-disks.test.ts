import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { IS_ROOT, mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { makeRaidMember } from '#test/support/delicate-disks.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import { openCapturedDisk } from './captured-disk.ts'

/** Disks with partitions and file systems of which something else is true: noise is what that keeps there. */
const CASES: { what: string; table: string; reason: RegExp; prepare: Prepare }[] = [
  {
    what: 'a member of a RAID in one piece, with the partition table from before',
    table: 'label: dos\nstart=1MiB, type=c\n',
    reason: /^The disk: a partition table and "linux_raid_member" are both on it$/,
    async prepare(disk) {
      await exec('mkfs.vfat', ['-F', '32', '-s', '1', disk.partition(1)])
      await makeRaidMember(disk)
      await writeNoise(disk.path, mib(20))
    },
  },
  {
    what: 'a disk of a RAID that its firmware makes, with partitions that go on on the next disk',
    table: 'label: gpt\nstart=1MiB, size=60MiB\n',
    reason: /^The disk: a partition table and "isw_raid_member" are both on it$/,
    async prepare(disk) {
      await exec('mkfs.ext4', ['-q', '-O', '^metadata_csum,^has_journal', disk.partition(1)])
      await writeNoise(disk.path, mib(20))
      await change(disk.path, DISK_BYTES - 1024, Buffer.from('Intel Raid ISM Cfg Sig. 1.1.00'))
    },
  },
  {
    what: 'two volumes of a logical disk manager, of which the first goes on on the next disk',
    table: 'label: dos\nstart=1MiB, size=60MiB, type=42\n',
    reason: /parts of volumes/,
    prepare: (disk) => makeSpannedNtfs(disk.partition(1)),
  },
  {
    what: 'the same with a GPT',
    table: 'label: gpt\nstart=1MiB, size=60MiB, type=AF9B60A0-1431-4F62-BC68-3311714A69AD\n',
    reason: /parts of volumes/,
    prepare: (disk) => makeSpannedNtfs(disk.partition(1)),
  },
  {
    what: 'a physical volume whose second description of its group is newer',
    table: 'label: gpt\nstart=1MiB, size=60MiB\n',
    reason: /described in two ways/,
    prepare: (disk) => makeTornGroup(disk.partition(1)),
  },
  {
    what: 'two physical volumes, of which one has the newer description, and is torn',
    table: 'label: gpt\nstart=1MiB, size=30MiB\nsize=30MiB\n',
    reason: /Partition 1: .*described in two ways[^]*Partition 2: what another part of group/,
    prepare: (disk) => makeTornGroup(disk.partition(1), disk.partition(2)),
  },
  {
    what: 'a GPT that is damaged, or kept further in',
    table: 'label: gpt\nstart=1MiB, size=60MiB\n',
    reason: /^The disk: its partition table is not understood: The checksum of the GPT header/,
    async prepare(disk) {
      await writeNoise(disk.path, mib(20))
      await change(disk.path, 512 + 16, randomBytes(4))
    },
  },
  {
    what: 'a file system of which another partition has hashes, free space included',
    table: 'label: gpt\nstart=1MiB, size=60MiB\nsize=2MiB\n',
    reason: /^The disk: partition 2 has hashes of another one, free space included$/,
    async prepare(disk) {
      await writeNoise(disk.path, mib(20))
      await exec('mkfs.ext4', ['-q', '-E', 'nodiscard', disk.partition(1)])
      await change(disk.partition(2), 0, verityHeader())
    },
  },
  {
    what: 'two partitions with bytes in common, of which one ends behind the disk',
    table: 'label: dos\nstart=1MiB, size=60MiB\n',
    reason: /^Partition 1: it overlaps another partition$/,
    async prepare(disk) {
      await exec('mkfs.ext4', ['-q', '-O', '^has_journal', disk.partition(1)])
      const second = Buffer.alloc(16)
      second[4] = 0x83
      second.writeUInt32LE(mib(18) / 512, 8)
      second.writeUInt32LE(mib(200) / 512, 12)
      await change(disk.path, 446 + 16, second)
      await writeNoise(disk.path, mib(20))
    },
  },
]
type Prepare = (disk: LoopDisk) => Promise<void>

const DISK_BYTES = mib(72)

describe('a doubtful disk', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  for (const { what, table, reason, prepare } of CASES)
    it(`is copied whole: ${what}`, async () => {
      await using disk = await openCapturedDisk({
        partitions: table,
        sizeBytes: DISK_BYTES,
        prepare,
      })
      assert.ok(disk.isUntouched)
      const reasons = disk.info.copiedWhole?.map((each) => each.reason) ?? []
      assert.match(reasons.join('\n'), reason)
      assert.equal(disk.context.facts.bytesUnused, 0)
      assert.equal(await fileDigest(disk.target.path), await fileDigest(disk.source.path))
    })

  it('has what lies in a partition behind swap space that ends before', async () => {
    const behind = { start: mib(9), end: mib(61) }
    await using disk = await openCapturedDisk({
      partitions: [mib(60)],
      sizeBytes: DISK_BYTES,
      async prepare(source) {
        await exec('mkswap', [source.partition(1), '8192'])
        await writeNoise(source.path, mib(20))
      },
    })
    const [before, after] = await Promise.all(
      [disk.source, disk.target].map(({ path }) =>
        peek(path, behind.start, behind.end - behind.start),
      ),
    )
    assert.ok(before!.equals(after!))
    const bytes = 8192 * 1024 - 4096
    assert.deepEqual(disk.info.leftOut, [{ partition: 1, what: 'swap space', bytes }])
  })
})

/** A power cut came between areas of metadata: LVM goes by the newest, here the second of the first device. */
async function makeTornGroup(...devices: string[]): Promise<void> {
  const scope = ['--driverloaded', 'n', '--devices', devices.join(',')]
  const copies = ['--metadatacopies', '2']
  await exec('lvm', ['pvcreate', ...scope, ...copies, '--yes', devices[0]!])
  for (const other of devices.slice(1)) await exec('lvm', ['pvcreate', ...scope, '--yes', other])
  await exec('lvm', ['vgcreate', ...scope, 'test-group', ...devices])
  const older = await Promise.all(devices.map((device) => peek(device, 0, mib(1))))
  const create = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n', '--extents', '6']
  const last = devices.at(-1)!
  await exec('lvm', ['lvcreate', ...scope, ...create, '--name', 'newer', 'test-group', last])
  for (const [index, device] of devices.entries()) await change(device, 0, older[index]!)
  await writeNoise(last, mib(5))
}

/** What hashes for dm-verity begin with: magic, version, kind, and an identity. */
function verityHeader(): Buffer {
  const header = Buffer.alloc(512)
  header.write('verity', 'latin1')
  header.writeUInt32LE(1, 8)
  header.writeUInt32LE(1, 12)
  randomBytes(16).copy(header, 16)
  return header
}

/** In 30 MiB of a disk; the second volume is what follows. */
async function makeSpannedNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device, String(mib(50) / 512)])
  await writeNoise(device, mib(32))
}

/** What nobody's map tells of. */
async function writeNoise(device: string, at: number): Promise<void> {
  await change(device, at, randomBytes(mib(16)))
}

async function peek(device: string, at: number, length: number): Promise<Buffer> {
  await using file = await open(device, 'r')
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, at)
  return bytes
}

async function change(device: string, at: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(device, 'r+')
  await file.write(bytes, 0, bytes.length, at)
}
