import { parseSha256 } from '#protocol/sha256.ts'
import { parseManifest } from '../commit/check-image.ts'
import { type ChunkStore, PREFIXES } from '../store/chunk-store.ts'
import { createSegmentReader } from '../store/segment-reader.ts'
import { chunkKey, type ChunkKey, isInRange, type PrefixRange, segmentKeys } from './chunk-key.ts'
import { HashSet } from './hash-set.ts'

export type SweepOptions = {
  store: ChunkStore
  /** Keeps commits out while it runs; a sweep asks for it again and again, not once for all. */
  exclusively: <Result>(work: () => Promise<Result>) => Promise<Result>
  /** Chunks touched at this moment or later stay: the start of the oldest open upload, or now. */
  cutoff: () => Date
  /** Forms of chunks that were replaced before this moment go; absent: all stay. */
  replacedCutoff?: Date | undefined
  /** Manifests of all that must stay, read after the cutoff was taken. */
  manifests: () => AsyncIterable<{ manifest: Uint8Array }>
}

/** Of those that must stay: 50 MB with what a set of them grows by. More are swept in parts. */
const MAX_LIVE = 2_500_000

/**
 * Removes the chunks that nothing needs; how many that were. Whatever commits meanwhile touched its
 * chunks after the cutoff, so that roots may be read before and after. Removes nothing if a root cannot be
 * read.
 */
export async function sweepChunks(options: SweepOptions, maxLive = MAX_LIVE): Promise<number> {
  let removed = 0
  let width = PREFIXES.length
  for (let first = 0; first < PREFIXES.length;) {
    const live = await liveChunks(options, { first, end: first + width }, maxLive)
    if (!live) {
      width /= 2
      continue
    }
    for (const prefix of PREFIXES.slice(first, first + width))
      removed += await options.exclusively(() =>
        options.store.sweep({
          prefix,
          isLive: (hash) => live.has(hash),
          cutoff: options.cutoff(),
          replacedCutoff: options.replacedCutoff,
        }),
      )
    first += width
  }
  return removed
}

/** Those whose first byte is in the range; undefined if they are more than `maxLive`. */
async function liveChunks(
  { store, manifests }: SweepOptions,
  range: PrefixRange,
  maxLive: number,
): Promise<HashSet | undefined> {
  const live = new HashSet()
  const isIn = (key: ChunkKey) => isInRange(range, key)
  const seen = new HashSet()
  const read = createSegmentReader(store)
  for await (const { manifest } of manifests()) {
    for (const text of parseManifest(manifest).segments) {
      if (text === null) continue
      const hash = parseSha256(text)
      if (seen.has(hash)) continue
      seen.add(hash)
      if (isIn(chunkKey(hash))) live.add(hash)
      for (const key of segmentKeys(await read(hash))) if (isIn(key)) live.addKey(key)
      // What a single first byte has is taken however much it is.
      if (live.size > maxLive && range.end - range.first > 1) return undefined
    }
  }
  return live
}
