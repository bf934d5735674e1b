import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { sumImages } from '#server/db/image-digest.ts'
import { getLayout } from '#server/db/image-layouts.ts'
import { findManifest } from '#server/db/image-queries.ts'
import { findTwins, listCountable, saveShares } from '#server/db/image-shares.ts'
import type { ChunkStore } from '#server/images/chunk-store.ts'
import { type CountedManifest, countShares } from '#server/images/count-shares.ts'

export interface StoreStatistics {
  /** By name. */
  images: number
  /** Of the disks: neither zero nor unused. */
  contentBytes: number
  /** Compressed, each chunk once. */
  storedBytes: number
  /** What the images would take more if they shared nothing. */
  savedBytes: number
}

export interface ImageStatistics {
  /** Counts anew if anything changed since; keeps what each image shares. For the background. */
  count(): Promise<void>
  /** As of the last count. */
  read(): Promise<StoreStatistics>
}

export function createImageStatistics(db: Database, store: ChunkStore): ImageStatistics {
  let counted: { of: string; storedBytes: number } | undefined

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
        manifests: manifestsOf(countable.map(({ digest }) => digest)),
        loadLayout: (digest, segment) => getLayout(db, digest, segment),
      })
      const rows = [...shares.byDigest].map(([digest, { storedBytes, uniqueBytes }]) => ({
        digest,
        storedBytes,
        uniqueBytes: twins.has(digest) ? 0 : uniqueBytes,
      }))
      await saveShares(db, rows)
      counted = { of, storedBytes: shares.storedBytes }
    },

    async read() {
      const { images, contentBytes, storedBytes: summedBytes } = await sumImages(db)
      const storedBytes = counted?.storedBytes ?? summedBytes
      const savedBytes = Math.max(0, summedBytes - storedBytes)
      return { images, contentBytes, storedBytes, savedBytes }
    },
  }
}
