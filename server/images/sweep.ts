import { type ChunkReference, decodeSegment } from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { parseManifest } from './check-image.ts'
import { readContent } from './chunk-codec.ts'
import { type ChunkStore, PREFIXES } from './chunk-store.ts'
import { HashSet } from './hash-set.ts'

export type SweepOptions = {
  store: ChunkStore
  /** Keeps commits out while it runs; a sweep asks for it again and again, not once for all. */
  exclusively: <Result>(work: () => Promise<Result>) => Promise<Result>
  /** Chunks touched at this moment or later stay: the start of the oldest open upload, or now. */
  cutoff: Date
  /** Forms of chunks that were replaced before this moment go; absent: all stay. */
  replacedCutoff?: Date | undefined
  /** Manifests of all that must stay, read after the cutoff was taken. */
  manifests: AsyncIterable<Uint8Array>
}

/**
 * Removes the chunks that nothing needs; how many that were. Whatever commits meanwhile touched its
 * chunks after the cutoff, so the roots need not be read again. Removes nothing if a root cannot be
 * read.
 */
export async function sweepChunks(options: SweepOptions): Promise<number> {
  const live = await liveChunks(options.store, options.manifests)
  let removed = 0
  for (const prefix of PREFIXES)
    removed += await options.exclusively(() =>
      options.store.sweep({
        prefix,
        isLive: (hash) => live.has(hash),
        cutoff: options.cutoff,
        replacedCutoff: options.replacedCutoff,
      }),
    )
  return removed
}

async function liveChunks(
  store: ChunkStore,
  manifests: AsyncIterable<Uint8Array>,
): Promise<HashSet> {
  const live = new HashSet()
  for await (const manifest of manifests) {
    const segments = parseManifest(manifest).segments.filter((hash) => hash !== null)
    for (const hash of segments.map(parseSha256)) {
      if (live.has(hash)) continue
      live.add(hash)
      for (const reference of decodeSegment(await readContent(store, hash)))
        if (isHash(reference)) live.add(reference)
    }
  }
  return live
}

function isHash(reference: ChunkReference): reference is Sha256 {
  return reference !== 'zero' && reference !== 'unused'
}
