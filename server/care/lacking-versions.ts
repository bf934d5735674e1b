import pLimit from 'p-limit'
import type { LackingVersion } from '#protocol/store-migration.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { listDamage, listVersionsWith } from '#server/db/images/damaged-chunks.ts'
import type { Database } from '#server/db/database.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { isGone } from './lost-chunks.ts'

const LOOKED_FOR_AT_ONCE = 16

/**
 * What images need and none of these stores has, of the chunks that are known to be lost. Throws
 * StoreUnreachableError.
 */
export async function findLacking(
  db: Database,
  stores: readonly ChunkStore[],
  signal: AbortSignal,
): Promise<{ lostChunks: number; lacking: LackingVersion[] }> {
  const limit = pLimit(LOOKED_FOR_AT_ONCE)
  const damage = await listDamage(db)
  const gone = new Set<Sha256>()
  const looks = [...new Set(damage.map(({ hash }) => hash))].map((hash) =>
    limit(async () => {
      signal.throwIfAborted()
      for (const store of stores) if (!(await isGone(store, hash))) return
      gone.add(hash)
    }),
  )
  await Promise.all(looks)
  const lost = Map.groupBy(
    damage.filter(({ hash }) => gone.has(hash)),
    ({ digest }) => digest,
  )
  // What belonged to an image that was deleted meanwhile, nobody needs.
  const versions = await listVersionsWith(db, [...lost.keys()])
  const needed = new Set(
    versions.flatMap(({ digest }) => lost.get(digest)!.map(({ hash }) => hash)),
  )
  const lacking = versions.map(({ digest, ...version }) => ({
    ...version,
    chunks: lost.get(digest)!.length,
  }))
  return { lostChunks: needed.size, lacking }
}
