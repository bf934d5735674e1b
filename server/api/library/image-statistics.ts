import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { sumImages } from '#server/db/images/image-digest.ts'
import { getLayout } from '#server/db/images/image-layouts.ts'
import { findManifest } from '#server/db/images/image-queries.ts'
import { findTwins, listCountable, saveShares } from '#server/db/images/image-shares.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import {
  type CountedManifest,
  type CountedShares,
  countShares,
} from '#server/images/sweep/count-shares.ts'

export interface StoreStatistics {
  /** By name. */
  images: number
  /** Of the disks: neither zero nor unused. */
  contentBytes: number
  /** Compressed, each chunk once. */
  storedBytes: number
  /** What the images would take more if they shared nothing. */
  savedBytes: number
  chunks: number
  codecs: CountedShares['codecs']
}

export interface ImageStatistics {
  /** Counts anew if anything changed since; keeps what each image shares. For the background. */
  count(): Promise<void>
  /** As of the last count. */
  read(): Promise<StoreStatistics>
}

const NOTHING: CountedShares['codecs'] = {
  gzip: { chunks: 0, storedBytes: 0 },
  zstd: { chunks: 0, storedBytes: 0 },
}

export function createImageStatistics(db: Database, store: ChunkStore): ImageStatistics {
  let counted: { of: string; storedBytes: number; codecs: CountedShares['codecs'] } | undefined

  async function* manifestsOf(digests: readonly Sha256[]): AsyncGenerator<CountedManifest> {
    for (const digest of digests) {
      const manifest = await findManifest(db, digest)
      if (manifest) yield { digest, manifest }
    }
  }

  return {
    async count() {
      const countable = await listCountable(db)
      const twins = await findTwins(db)
      const of = JSON.stringify([countable, [...twins]])
      if (counted?.of === of) return
      const shares = await countShares({
        store,
        manifests: () => manifestsOf(countable.map(({ digest }) => digest)),
        loadLayout: (digest, segment) => getLayout(db, digest, segment),
      })
      const rows = [...shares.byDigest].map(([digest, { storedBytes, uniqueBytes }]) => ({
        digest,
        storedBytes,
        uniqueBytes: twins.has(digest) ? 0 : uniqueBytes,
      }))
      await saveShares(db, rows)
      counted = { of, storedBytes: shares.storedBytes, codecs: shares.codecs }
    },

    async read() {
      const { images, contentBytes, storedBytes: summedBytes } = await sumImages(db)
      const storedBytes = counted?.storedBytes ?? summedBytes
      const savedBytes = Math.max(0, summedBytes - storedBytes)
      const codecs = counted?.codecs ?? NOTHING
      const chunks = codecs.gzip.chunks + codecs.zstd.chunks
      return { images, contentBytes, storedBytes, savedBytes, chunks, codecs }
    },
  }
}
