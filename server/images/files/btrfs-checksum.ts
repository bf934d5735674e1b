import { hash } from 'node:crypto'
import { createBLAKE2b, createCRC32, createXXHash64, type IHasher } from 'hash-wasm'

/** Of the bytes of a block, as the block has it at its start. */
export type BtrfsChecksum = (bytes: Uint8Array) => Buffer

/** CRC-32C, its polynomial with the bits the other way round (RFC 3720, 12.1). */
const CASTAGNOLI = 0x82f63b78

/** By `csum_type` of the superblock (btrfs.readthedocs.io, "On-disk format"). */
const CHECKSUMS: Partial<Record<number, () => Promise<BtrfsChecksum>>> = {
  0: async () => littleEndian(await createCRC32(CASTAGNOLI)),
  1: async () => littleEndian(await createXXHash64()),
  2: async () => (bytes) => hash('sha256', bytes, 'buffer'),
  3: async () => inOrder(await createBLAKE2b(256)),
}

/** Undefined for a type that came later. */
export async function findBtrfsChecksum(type: number): Promise<BtrfsChecksum | undefined> {
  return await CHECKSUMS[type]?.()
}

function inOrder(hasher: IHasher): BtrfsChecksum {
  return (bytes) => Buffer.from(hasher.init().update(bytes).digest('binary'))
}

/** Those that are numbers. */
function littleEndian(hasher: IHasher): BtrfsChecksum {
  const checksum = inOrder(hasher)
  return (bytes) => checksum(bytes).reverse()
}
