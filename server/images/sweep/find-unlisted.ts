import { HASH_BYTES } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { parseManifest } from '../commit/check-image.ts'
import { type ChunkStore, ifLost, PREFIXES } from '../store/chunk-store.ts'
import { createSegmentReader } from '../store/segment-reader.ts'
import { chunkKey, type ChunkKey, isInRange, type PrefixRange, segmentKeys } from './chunk-key.ts'
import type { CountedManifest } from './count-shares.ts'
import { HashSet } from './hash-set.ts'

export interface UnlistedOptions {
  store: ChunkStore
  /** Asked for again for each part of the store. */
  manifests: () => AsyncIterable<CountedManifest>
  signal: AbortSignal
}

export interface UnlistedChunk {
  /** Of the image that needs it. */
  digest: Sha256
  hash: Sha256
}

/** Of those that are there: 50 MB with what a set of them grows by. More are looked through in parts. */
const MAX_LISTED = 2_500_000
/** What stands for a zero chunk and for an unused one in a segment. */
const MARKS = new Set(['0', 'f'].map((digit) => chunkKey(parseSha256(digit.repeat(64)))))

/**
 * Chunks that images need and the store does not list; one that an image has several times may come several
 * times. Both change meanwhile, so each is only a suspicion. A segment that is gone hides what it lists.
 */
export async function* findUnlisted(
  options: UnlistedOptions,
  maxListed = MAX_LISTED,
): AsyncGenerator<UnlistedChunk> {
  const read = createSegmentReader(options.store)
  let width = PREFIXES.length
  for (let first = 0; first < PREFIXES.length;) {
    const range = { first, end: first + width }
    const listed = await listChunks(options, range, maxListed)
    if (!listed) {
      width /= 2
      continue
    }
    const lacks = (key: ChunkKey) => isInRange(range, key) && !listed.hasKey(key)
    for await (const counted of options.manifests()) {
      options.signal.throwIfAborted()
      yield* unlistedOf(counted, read, lacks)
    }
    first += width
  }
}

/** Those whose first byte is in the range; undefined if they are more than `maxListed`. */
async function listChunks(
  { store, signal }: UnlistedOptions,
  range: PrefixRange,
  maxListed: number,
): Promise<HashSet | undefined> {
  const listed = new HashSet()
  for (const prefix of PREFIXES.slice(range.first, range.end)) {
    signal.throwIfAborted()
    for await (const { hash } of store.list(prefix)) listed.add(hash)
    // What a single first byte has is taken however much it is.
    if (listed.size > maxListed && range.end - range.first > 1) return undefined
  }
  return listed
}

async function* unlistedOf(
  { digest, manifest }: CountedManifest,
  read: (hash: Sha256) => Promise<Uint8Array>,
  lacks: (key: ChunkKey) => boolean,
): AsyncGenerator<UnlistedChunk> {
  for (const text of parseManifest(manifest).segments) {
    if (text === null) continue
    const segmentHash = parseSha256(text)
    if (lacks(chunkKey(segmentHash))) yield { digest, hash: segmentHash }
    const segment = await read(segmentHash).catch(ifLost)
    if (!segment) continue
    let next = 0
    for (const key of segmentKeys(segment)) {
      const offset = HASH_BYTES * next++
      if (MARKS.has(key) || !lacks(key)) continue
      const hash = Buffer.from(segment.subarray(offset, offset + HASH_BYTES)).toString('hex')
      yield { digest, hash: parseSha256(hash) }
    }
  }
}
