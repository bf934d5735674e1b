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
})

/** What nobody's map tells of. */
async function writeNoise(device: string, at: number): Promise<void> {
  await change(device, at, randomBytes(mib(16)))
}

async function change(device: string, at: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(device, 'r+')
  await file.write(bytes, 0, bytes.length, at)
}
