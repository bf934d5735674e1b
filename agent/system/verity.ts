import { readBytes } from './read-bytes.ts'

/** What blkid calls hashes for dm-verity. */
export const VERITY_HASHES = 'DM_verity_hash'

/** How they begin, as veritysetup writes them. */
const MAGIC = 'verity\0\0'
export const VERITY_MAGIC_BYTES = MAGIC.length

/** In their superblock, as veritysetup writes it: size and number of the blocks that they are of. */
const AT = { blockBytes: 64, blocks: 72 } as const
const SUPERBLOCK_BYTES = 512

/** Of how many bytes of another device there are hashes in this one. */
export async function hashedBytes(path: string): Promise<number> {
  const head = await readBytes(path, 0, SUPERBLOCK_BYTES)
  return head.readUInt32LE(AT.blockBytes) * Number(head.readBigUInt64LE(AT.blocks))
}

/** Images of appliances often have hashes in the partition of the file system that they are of, behind it. */
export async function isFollowedByHashes(path: string, fileSystem: string): Promise<boolean> {
  const end = fileSystemBytes(await readBytes(path, 0, SUPERBLOCKS_BYTES), fileSystem)
  if (!Number.isSafeInteger(end)) return false // it is damaged, which need not stop anything
  return isVerity(await readBytes(path, end, VERITY_MAGIC_BYTES))
}

export function isVerity(head: Buffer): boolean {
  return head.toString('latin1', 0, VERITY_MAGIC_BYTES) === MAGIC
}

const EXT_SUPERBLOCK = 1024
const EXT_64BIT = 0x80
const BTRFS_SUPERBLOCK = 65_536
const SUPERBLOCKS_BYTES = BTRFS_SUPERBLOCK + 4096

/** How large a file system with such a superblock is: one of those that a root may be on. */
function fileSystemBytes(head: Buffer, fileSystem: string): number {
  if (fileSystem === 'xfs') return head.readUInt32BE(4) * Number(head.readBigUInt64BE(8))
  if (fileSystem === 'btrfs') return Number(head.readBigUInt64LE(BTRFS_SUPERBLOCK + 0x70))
  const ext = head.subarray(EXT_SUPERBLOCK)
  const hasHigh = (ext.readUInt32LE(0x60) & EXT_64BIT) !== 0
  const blocks = ext.readUInt32LE(0x04) + (hasHigh ? ext.readUInt32LE(0x150) * 2 ** 32 : 0)
  return blocks * 2 ** (10 + ext.readUInt32LE(0x18))
}
