import { count, inArray } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { damagedChunks } from '../schema.ts'

/** Of these contents, those that lack chunks, and how many. */
export async function countDamage(
  db: Database | Transaction,
  digests: readonly Sha256[],
): Promise<Map<Sha256, number>> {
  if (digests.length === 0) return new Map()
  const rows = await db
    .select({ digest: damagedChunks.digest, chunks: count() })
    .from(damagedChunks)
    .where(inArray(damagedChunks.digest, [...new Set(digests)]))
    .groupBy(damagedChunks.digest)
  return new Map(rows.map(({ digest, chunks }) => [digest, chunks]))
}
