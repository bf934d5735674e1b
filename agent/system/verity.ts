import { open } from 'node:fs/promises'

/** What blkid calls hashes for dm-verity. */
export const VERITY_HASHES = 'DM_verity_hash'

/** In their superblock, as veritysetup writes it: size and number of the blocks that they are of. */
const AT = { blockBytes: 64, blocks: 72 } as const
const SUPERBLOCK_BYTES = 512

/** Of how many bytes of another device there are hashes in this one. */
export async function hashedBytes(path: string): Promise<number> {
  await using device = await open(path, 'r')
  const head = Buffer.alloc(SUPERBLOCK_BYTES)
  await device.read(head, 0, head.length, 0)
  return head.readUInt32LE(AT.blockBytes) * Number(head.readBigUInt64LE(AT.blocks))
}
