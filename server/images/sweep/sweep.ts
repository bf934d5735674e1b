import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
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
  cutoff: () => Date | Promise<Date>
  /** Forms of chunks that were replaced before this moment go; absent: all stay. */
  replacedCutoff?: Date | undefined
  /** Manifests of all that must stay but of those that are known, read after the cutoff was taken. */
  manifests: (known: ReadonlySet<Sha256>) => AsyncIterable<{ digest: Sha256; manifest: Uint8Array }>
}

interface Live {
  has(hash: Sha256): boolean
  /** Adds what was committed since it was asked last; false, and of no use any more, if they are too many. */
  readNew(maxLive: number): Promise<boolean>
  /** Nothing was committed since. */
  isCurrent(): Promise<boolean>
}

/** Of those that must stay: 50 MB with what a set of them grows by. More are swept in parts. */
const MAX_LIVE = 2_500_000

/**
 * Removes the chunks that nothing needs; how many that were. Whatever commits meanwhile touched its
 * chunks after the cutoff, but maybe on a server whose clock is behind, so new roots are read before each part.
 * Removes nothing more once a root cannot be read.
 */
export async function sweepChunks(options: SweepOptions, maxLive = MAX_LIVE): Promise<number> {
  let removed = 0
  let width = PREFIXES.length
  for (let first = 0; first < PREFIXES.length;) {
    const live = createLive(options, { first, end: first + width })
    if (!(await live.readNew(maxLive))) {
      width /= 2
      continue
    }
    for (const prefix of PREFIXES.slice(first, first + width))
      removed += await sweepPrefix(options, prefix, live)
    first += width
  }
  return removed
}

async function sweepPrefix(options: SweepOptions, prefix: string, live: Live): Promise<number> {
  const { store, exclusively, cutoff, replacedCutoff } = options
  for (;;) {
    const removed = await exclusively(async () => {
      if (!(await live.isCurrent())) return undefined
      const isLive = (hash: Sha256) => live.has(hash)
      return await store.sweep({ prefix, isLive, cutoff: await cutoff(), replacedCutoff })
    })
    if (removed !== undefined) return removed
    // An image of 10 TB has 320 segments: nobody's commit waits while they are read.
    await live.readNew(Infinity)
  }
}

/** Those whose first byte is in the range. */
function createLive({ store, manifests }: SweepOptions, range: PrefixRange): Live {
  const live = new HashSet()
  const isIn = (key: ChunkKey) => isInRange(range, key)
  const seen = new HashSet()
  const known = new Set<Sha256>()
  const read = createSegmentReader(store)
  return {
    has: (hash) => live.has(hash),

    async readNew(maxLive) {
      for await (const { digest, manifest } of manifests(known)) {
        for (const text of parseManifest(manifest).segments) {
          if (text === null) continue
          const hash = parseSha256(text)
          if (seen.has(hash)) continue
          if (isIn(chunkKey(hash))) live.add(hash)
          for (const key of segmentKeys(await read(hash))) if (isIn(key)) live.addKey(key)
          seen.add(hash)
          // What a single first byte has is taken however much it is.
          if (live.size > maxLive && range.end - range.first > 1) return false
        }
        known.add(digest)
      }
      return true
    },

    async isCurrent() {
      for await (const _ of manifests(known)) return false
      return true
    },
  }
}
