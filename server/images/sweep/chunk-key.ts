import { HASH_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/**
 * A chunk by the first 48 bits of its hash, which fit a number exactly: two that begin alike are as good
 * as never. Never 0, which marks an empty slot of a table.
 */
export type ChunkKey = number

const PREFIX_DIGITS = 12
/** What is behind the first byte. */
const PREFIX_STEP = 2 ** 40

export function chunkKey(hash: Sha256): ChunkKey {
  return Number.parseInt(hash.slice(0, PREFIX_DIGITS), 16) + 1
}

/** The same of each hash in a segment, without writing all of it out as text: that takes ten times as long. */
export function* segmentKeys(segment: Uint8Array): Generator<ChunkKey> {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  for (let offset = 0; offset < segment.length; offset += HASH_BYTES)
    yield view.getUint16(offset) * 2 ** 32 + view.getUint32(offset + 2) + 1
}

/** First bytes of hashes, half-open: a part of all chunks. */
export interface PrefixRange {
  first: number
  end: number
}

export function isInRange({ first, end }: PrefixRange, key: ChunkKey): boolean {
  const prefix = keyPrefix(key)
  return prefix >= first && prefix < end
}

/** The first byte of the hash, 0 to 255. */
export function keyPrefix(key: ChunkKey): number {
  return Math.floor((key - 1) / PREFIX_STEP)
}
