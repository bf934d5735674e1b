import pLimit from 'p-limit'
import type { LackingVersion } from '#protocol/store-migration.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { listDamage, listVersionsWith } from '#server/db/damaged-chunks.ts'
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
  const lost = damage.filter(({ hash }) => gone.has(hash))
  const versions = await listVersionsWith(db, [...new Set(lost.map(({ digest }) => digest))])
  const chunksOf = (digest: Sha256) => lost.filter((one) => one.digest === digest).length
  // What belonged to an image that was deleted meanwhile, nobody needs.
  const needed = new Set(versions.map(({ digest }) => digest))
  const lostChunks = new Set(
    lost.filter(({ digest }) => needed.has(digest)).map(({ hash }) => hash),
  ).size
  const lacking = versions.map(({ digest, ...version }) => ({
    ...version,
    chunks: chunksOf(digest),
  }))
  return { lostChunks, lacking }
}
