import { createGiveBack } from '#server/give-back.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { parseManifest } from '../commit/check-image.ts'
import { layoutEntry, type SegmentLayout } from '../export/layout.ts'
import { verifiedContent } from '../store/chunk-codec.ts'
import { ChunkMissingError, type ChunkStore } from '../store/chunk-store.ts'
import { GIVE_BACK_SEGMENTS } from '../store/segment-reader.ts'
import { chunkKey, type ChunkKey, keyPrefix, segmentKeys } from './chunk-key.ts'
import { type ShareCount, ShareCounter, TooManyChunksError } from './share-counter.ts'

export interface CountedManifest {
  digest: Sha256
  manifest: Uint8Array
}

export interface ShareCountOptions {
  store: ChunkStore
  /** Asked for again where they are counted in parts. */
  manifests: () => AsyncIterable<CountedManifest>
  loadLayout: (digest: Sha256, segment: number) => Promise<SegmentLayout>
}

export interface CountedShares {
  storedBytes: number
  codecs: ShareCounter['codecs']
  byDigest: Map<Sha256, ShareCount>
}

/** Counted in one go: 63 MB with what they grow by. More are counted in parts, by their first bytes. */
const MAX_CHUNKS = 1_250_000
const MOST_PARTS = 256

/**
 * What the images of a store share. Reads the segments of all of them, so it belongs in the background.
 * An image that is deleted meanwhile may be counted in part: then there is a next count soon.
 */
export async function countShares(
  options: ShareCountOptions,
  maxChunks = MAX_CHUNKS,
): Promise<CountedShares> {
  for (let parts = 1; ; parts *= 2) {
    try {
      return await countParts(options, parts, parts < MOST_PARTS ? maxChunks : undefined)
    } catch (err) {
      // Only counting tells how many there are.
      if (!(err instanceof TooManyChunksError)) throw err
    }
  }
}

async function countParts(
  options: ShareCountOptions,
  parts: number,
  maxChunks: number | undefined,
): Promise<CountedShares> {
  const total: CountedShares = {
    storedBytes: 0,
    codecs: { gzip: { chunks: 0, storedBytes: 0 }, zstd: { chunks: 0, storedBytes: 0 } },
    byDigest: new Map(),
  }
  for (let part = 0; part < parts; part++) {
    const width = MOST_PARTS / parts
    const isIn = (key: ChunkKey) => Math.floor(keyPrefix(key) / width) === part
    await countPart(options, new ShareCounter(maxChunks), isIn, total)
  }
  return total
}

async function countPart(
  options: ShareCountOptions,
  counter: ShareCounter,
  isIn: (key: ChunkKey) => boolean,
  total: CountedShares,
): Promise<void> {
  const digests: Sha256[] = []
  const giveBack = createGiveBack(GIVE_BACK_SEGMENTS)
  for await (const { digest, manifest } of options.manifests()) {
    digests.push(digest)
    counter.begin()
    for (const [index, hash] of parseManifest(manifest).segments.entries())
      if (hash !== null) {
        giveBack()
        await countSegment(options, counter, isIn, digest, index, parseSha256(hash))
      }
  }
  total.storedBytes += counter.storedBytes
  for (const codec of ['gzip', 'zstd'] as const) {
    total.codecs[codec].chunks += counter.codecs[codec].chunks
    total.codecs[codec].storedBytes += counter.codecs[codec].storedBytes
  }
  for (const [index, digest] of digests.entries()) {
    const { storedBytes = 0, uniqueBytes = 0 } = total.byDigest.get(digest) ?? {}
    const count = counter.counts[index]!
    total.byDigest.set(digest, {
      storedBytes: storedBytes + count.storedBytes,
      uniqueBytes: uniqueBytes + count.uniqueBytes,
    })
  }
}

async function countSegment(
  { store, loadLayout }: ShareCountOptions,
  counter: ShareCounter,
  isIn: (key: ChunkKey) => boolean,
  digest: Sha256,
  index: number,
  hash: Sha256,
): Promise<void> {
  const stored = await store.read(hash).catch((err: unknown) => {
    if (err instanceof ChunkMissingError) return undefined
    throw err
  })
  if (!stored) return
  const own = chunkKey(hash)
  if (isIn(own)) counter.add(own, stored.bytes.length, stored.codec)
  const segment = await verifiedContent(hash, stored)
  const layout = await loadLayout(digest, index)
  let at = 0
  for (const key of segmentKeys(segment)) {
    const place = at++
    if (!isIn(key)) continue
    const entry = layoutEntry(layout, place)
    if (entry.kind !== 'zero') counter.add(key, entry.storedBytes, entry.kind)
  }
}
