import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { parseManifest } from '#server/images/commit/check-image.ts'
import { segmentKeys } from '#server/images/sweep/chunk-key.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { HashSet } from '#server/images/sweep/hash-set.ts'
import { createSegmentReader } from '#server/images/store/segment-reader.ts'

/** Which chunks an image has, for agents that ask chunk by chunk. */
export interface ChunkSets {
  has(hash: Sha256, digest: Sha256): Promise<boolean>
}

/** For two images of ten million chunks; the set that is asked for is there in any case. */
const MAX_BYTES = 140_000_000
/** Larger images take half the memory for each chunk: a larger set is easier to be in by chance. */
const NARROW_FROM_CHUNKS = 2_000_000

export function createChunkSets(
  store: ChunkStore,
  findManifest: (digest: Sha256) => Promise<Uint8Array | undefined>,
): ChunkSets {
  /** The one that was asked last is the last. */
  const sets = new Map<Sha256, { loading: Promise<HashSet>; bytes: number }>()

  async function load(digest: Sha256): Promise<HashSet> {
    const bytes = await findManifest(digest)
    const manifest = bytes && parseManifest(bytes)
    const isNarrow = (manifest?.sizeBytes ?? 0) / CHUNK_BYTES > NARROW_FROM_CHUNKS
    const set = new HashSet({ isNarrow })
    const read = createSegmentReader(store)
    for (const text of manifest?.segments ?? []) {
      if (text === null) continue
      const hash = parseSha256(text)
      set.add(hash)
      for (const key of segmentKeys(await read(hash))) set.addKey(key)
    }
    return set
  }

  function open(digest: Sha256): { loading: Promise<HashSet>; bytes: number } {
    const opened = { loading: load(digest), bytes: 0 }
    opened.loading.then(
      (set) => {
        opened.bytes = set.bytes
        forgetOldest(digest)
      },
      () => sets.delete(digest), // whoever asked gets the error
    )
    return opened
  }

  function forgetOldest(but: Sha256): void {
    let bytes = 0
    for (const { bytes: some } of sets.values()) bytes += some
    for (const [digest, one] of sets) {
      if (bytes <= MAX_BYTES) return
      if (digest === but || one.bytes === 0) continue
      sets.delete(digest)
      bytes -= one.bytes
    }
  }

  return {
    async has(hash, digest) {
      const set = sets.get(digest) ?? open(digest)
      sets.delete(digest)
      sets.set(digest, set)
      return (await set.loading).has(hash)
    },
  }
}
