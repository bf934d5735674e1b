import {
  chunkLength,
  type ChunkReference,
  decodeSegment,
  HASH_BYTES,
  SEGMENT_CHUNKS,
  isStored,
} from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { hashOfZeros } from '../codec/zero-content.ts'
import { encodeLayout, type SegmentLayout } from '../export/layout.ts'
import type { ChunkStore, StoredSize } from '../store/chunk-store.ts'
import { ManifestRefusedError } from './manifest-refused.ts'

/**
 * Looked at together. Hashes as text take a hundred bytes each, so that no more than these are in
 * memory, however large the image is.
 */
const BATCH_CHUNKS = 4096
/** Chunks of an image that are remembered to have been touched for it: 15 MB at most. */
const MAX_KNOWN = 65_536

/** Sizes of the chunks that were touched last for an image, which may have them again and again. */
export type KnownSizes = Map<Sha256, StoredSize>

export interface SegmentPlace {
  /** Of the image. */
  sizeBytes: number
  index: number
}

export interface CheckedChunks {
  layout: SegmentLayout
  contentBytes: number
  /** Of chunks that were not known before. */
  storedBytes: number
}

/**
 * Touches the chunks that a segment lists. Those that the store lacks are added to `missing`, and then
 * there is no result. Throws ManifestRefusedError.
 */
export async function checkSegment(
  store: ChunkStore,
  bytes: Uint8Array,
  place: SegmentPlace,
  { known, missing }: { known: KnownSizes; missing: Set<Sha256> },
): Promise<CheckedChunks | undefined> {
  const layouts: SegmentLayout[] = []
  let contentBytes = 0
  let storedBytes = 0
  for (let from = 0; from < bytes.length; from += BATCH_CHUNKS * HASH_BYTES) {
    const batch = decodeSegment(bytes.subarray(from, from + BATCH_CHUNKS * HASH_BYTES))
    if (known.size > MAX_KNOWN) known.clear()
    const unknown = new Set(batch.filter((one) => isStored(one) && !known.has(one)) as Sha256[])
    const sizes = await store.touch([...unknown])
    for (const hash of unknown) {
      const size = sizes.get(hash)
      if (!size) {
        missing.add(hash)
        continue
      }
      known.set(hash, size)
      storedBytes += size.storedBytes
    }
    if (missing.size > 0) continue
    const first = place.index * SEGMENT_CHUNKS + from / HASH_BYTES
    contentBytes += checkLengths(place.sizeBytes, first, batch, known)
    layouts.push(encodeLayout(batch, known))
  }
  if (missing.size > 0) return undefined
  return { layout: Buffer.concat(layouts), contentBytes, storedBytes }
}

/** Content bytes of chunks. Throws ManifestRefusedError if one has not the length of its place. */
function checkLengths(
  sizeBytes: number,
  first: number,
  batch: readonly ChunkReference[],
  sizes: ReadonlyMap<Sha256, StoredSize>,
): number {
  let total = 0
  batch.forEach((reference, at) => {
    if (!isStored(reference)) return
    const index = first + at
    const expected = chunkLength(sizeBytes, index)
    const actual = sizes.get(reference)!.contentBytes
    if (actual !== expected)
      throw new ManifestRefusedError(
        `Chunk ${index} must have ${expected} bytes, but "${reference}" has ${actual}`,
      )
    if (reference === hashOfZeros(expected))
      throw new ManifestRefusedError(`Chunk ${index} is all zeros, so its segment must say so`)
    total += expected
  })
  return total
}
