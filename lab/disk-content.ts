import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { run } from './command.ts'

/**
 * Makes a file that holds an ext4 file system in use when its machine lost power: to mount it, even
 * read-only, would replay the journal and so write to the disk.
 */
export async function writeDirtyExt4(file: string, sizeBytes: number): Promise<void> {
  const live = `${file}.live`
  const mount = await mkdtemp(path.join(path.dirname(file), 'mount-'))
  await writeFile(live, '')
  await truncate(live, sizeBytes)
  await run('mkfs.ext4', ['-q', '-F', '-L', 'dirty', live])
  // A copy of what lies below while the file system is mounted: that is a power cut.
  const script =
    'mount -o loop "$1" "$2"; cp -r /etc/apt "$2"; sync -f "$2"; cp --sparse=always "$1" "$3"; umount "$2"'
  await run('unshare', ['--mount', 'sh', '-ec', script, 'sh', live, mount, file])
  await rm(live)
  await rm(mount, { recursive: true })
}

const MD_MAGIC = 0xa92b4efc
/** Superblock version 1.2 lies 4 KiB from the start (Linux, include/uapi/linux/raid/md_p.h). */
const MD_SUPERBLOCK_START = 4096
const MD_DATA_SECTORS = 2048
const SECTOR_BYTES = 512
const MD_DEVICES = 2

/**
 * Makes files that hold the members of a RAID 1 that was not shut down: to assemble it rewrites
 * both superblocks and starts a resync. Written by hand, since mdadm needs md in the kernel.
 */
export async function writeMdMembers(files: string[], sizeBytes: number): Promise<void> {
  const setUuid = randomBytes(16)
  for (const [number, file] of files.entries()) {
    await writeFile(file, '')
    await truncate(file, sizeBytes)
    await using handle = await open(file, 'r+')
    await handle.write(mdSuperblock(setUuid, number, sizeBytes), 0, undefined, MD_SUPERBLOCK_START)
  }
}

function mdSuperblock(setUuid: Buffer, number: number, sizeBytes: number): Buffer {
  const dataSectors = BigInt(sizeBytes / SECTOR_BYTES - MD_DATA_SECTORS)
  const block = Buffer.alloc(256 + 2 * MD_DEVICES)
  block.writeUInt32LE(MD_MAGIC, 0)
  block.writeUInt32LE(1, 4) // major version
  setUuid.copy(block, 16)
  block.write('lab:0', 32, 'latin1')
  block.writeBigUInt64LE(1_700_000_000n, 64) // created
  block.writeUInt32LE(1, 72) // level
  block.writeBigUInt64LE(dataSectors, 80)
  block.writeUInt32LE(MD_DEVICES, 92)
  block.writeBigUInt64LE(BigInt(MD_DATA_SECTORS), 128) // data offset
  block.writeBigUInt64LE(dataSectors, 136)
  block.writeBigUInt64LE(BigInt(MD_SUPERBLOCK_START / SECTOR_BYTES), 144)
  block.writeUInt32LE(number, 160)
  randomBytes(16).copy(block, 168) // device UUID
  block.writeBigUInt64LE(1_700_000_000n, 192) // changed
  block.writeBigUInt64LE(1n, 200) // events
  block.writeBigUInt64LE(0n, 208) // resync goes on from here: all of it
  block.writeUInt32LE(MD_DEVICES, 220) // roles that follow
  for (let role = 0; role < MD_DEVICES; role++) block.writeUInt16LE(role, 256 + 2 * role)
  block.writeUInt32LE(mdChecksum(block), 216)
  return block
}

/** The sum of all 32-bit words, the carry folded back (md_super_1_csum in drivers/md/md.c). */
function mdChecksum(block: Buffer): number {
  let sum = 0
  for (let offset = 0; offset < block.length; offset += 4) sum += block.readUInt32LE(offset)
  return ((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) >>> 0
}

/** SHA-256 of a whole file, in hexadecimal. */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), hash)
  return hash.digest('hex')
}
