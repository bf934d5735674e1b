import { open } from 'node:fs/promises'
import { exec } from '#agent/exec.ts'
import type { LoopDevice } from './loop-device.ts'

/** Disks that a careless look changes: a mount replays, an assembly or activation writes. */
export const DELICATE_CONTENTS: [string, (disk: LoopDevice) => Promise<void>][] = [
  ['a dirty ext4 journal', makeDirtyJournal],
  ['an LVM physical volume', makePhysicalVolume],
  ['an MD member', makeRaidMember],
]

async function makeDirtyJournal(disk: LoopDevice): Promise<void> {
  // Without checksums, or the superblock that we change would be refused: a mount must be able to write.
  await exec('mkfs.ext4', ['-q', '-F', '-O', '^metadata_csum', disk.path])
  // EXT4_FEATURE_INCOMPAT_RECOVER in s_feature_incompat: the journal waits to be replayed.
  await using file = await open(disk.path, 'r+')
  await file.write(Buffer.of(0xc6), 0, 1, 1024 + 0x60)
}

async function makePhysicalVolume(disk: LoopDevice): Promise<void> {
  await exec('lvm', ['pvcreate', '--devices', disk.path, '--quiet', '--yes', disk.path])
}

/** Version 1.2 superblock, md(4): 4 kB from the start. Written here, so that mdadm isn't needed. */
export async function makeRaidMember({ path }: { path: string }): Promise<void> {
  const superblock = Buffer.alloc(256)
  superblock.writeUInt32LE(0xa92b4efc, 0)
  superblock.writeUInt32LE(1, 4)
  superblock.write('stampede-raid-01', 16, 'latin1')
  superblock.write('host:0', 32, 'latin1')
  superblock.writeUInt32LE(1, 72)
  superblock.writeUInt32LE(2, 92)
  superblock.writeBigUInt64LE(8n, 144)
  superblock.writeUInt32LE(raidChecksum(superblock), 216)
  await using file = await open(path, 'r+')
  await file.write(superblock, 0, superblock.length, 4096)
}

function raidChecksum(superblock: Buffer): number {
  let sum = 0n
  for (let at = 0; at < superblock.length; at += 4) sum += BigInt(superblock.readUInt32LE(at))
  return Number(((sum & 0xffffffffn) + (sum >> 32n)) & 0xffffffffn)
}
