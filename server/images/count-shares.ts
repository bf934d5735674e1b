import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { parseManifest } from './check-image.ts'
import { verifiedContent } from './chunk-codec.ts'
import { ChunkMissingError, type ChunkStore } from './chunk-store.ts'
import { layoutEntry, type SegmentLayout } from './layout.ts'
import { chunkKey, segmentKeys, type ShareCount, ShareCounter } from './share-counter.ts'

export interface CountedManifest {
  digest: Sha256
  manifest: Uint8Array
}

export interface ShareCountOptions {
  store: ChunkStore
  manifests: AsyncIterable<CountedManifest>
  loadLayout: (digest: Sha256, segment: number) => Promise<SegmentLayout>
}

export interface CountedShares {
  storedBytes: number
  codecs: ShareCounter['codecs']
  byDigest: Map<Sha256, ShareCount>
}

/**
 * What the images of a store share. Reads the segments of all of them, so it belongs in the background.
 * An image that is deleted meanwhile may be counted in part: then there is a next count soon.
 */
export async function countShares(options: ShareCountOptions): Promise<CountedShares> {
  const counter = new ShareCounter()
  const digests: Sha256[] = []
  for await (const { digest, manifest } of options.manifests) {
    digests.push(digest)
    counter.begin()
    for (const [index, hash] of parseManifest(manifest).segments.entries())
      if (hash !== null) await countSegment(options, counter, digest, index, parseSha256(hash))
  }
  const byDigest = new Map(digests.map((digest, index) => [digest, counter.counts[index]!]))
  return { storedBytes: counter.storedBytes, codecs: counter.codecs, byDigest }
}

async function countSegment(
  { store, loadLayout }: ShareCountOptions,
  counter: ShareCounter,
  digest: Sha256,
  index: number,
  hash: Sha256,
): Promise<void> {
  const stored = await store.read(hash).catch((err: unknown) => {
    if (err instanceof ChunkMissingError) return undefined
    throw err
  })
  if (!stored) return
  counter.add(chunkKey(hash), stored.bytes.length, stored.codec)
  const segment = await verifiedContent(hash, stored)
  const layout = await loadLayout(digest, index)
  let at = 0
  for (const key of segmentKeys(segment)) {
    const entry = layoutEntry(layout, at++)
    if (entry.kind !== 'zero') counter.add(key, entry.storedBytes, entry.kind)
  }
}
