import { asc, count, eq, inArray } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from './database.ts'
import { recordEvent } from './events.ts'
import { findImage } from './image-queries.ts'
import { damagedChunks, images } from './schema.ts'

/** Chunks that images lack because they were found to be rotten, until somebody brings them again. */

export interface Damage {
  hash: Sha256
  reason: string
  foundAt: Date
}

/** Names of the images that this is the first to be known of, or that have more of it now. */
export async function saveDamage(
  db: Database,
  digests: readonly Sha256[],
  damage: Damage,
): Promise<string[]> {
  return db.transaction(async (tx) => {
    const values = digests.map((digest) => ({ digest, ...damage }))
    if (values.length > 0) await tx.insert(damagedChunks).values(values).onConflictDoNothing()
    const names = await tellImages(tx, digests)
    const of =
      names.length === 0 ? 'no image' : `image ${names.map((name) => `"${name}"`).join(', ')}`
    recordEvent(tx, 'notice', {
      code: 'chunk-damaged',
      message: `Chunk ${damage.hash} of ${of} was damaged in the store and set aside: ${damage.reason}`,
      chunk: damage.hash,
      images: names,
    })
    return names
  })
}

/** Names of the images that had them. */
export async function clearDamage(db: Database, hashes: readonly Sha256[]): Promise<string[]> {
  if (hashes.length === 0) return []
  return db.transaction(async (tx) => {
    const rows = await tx
      .delete(damagedChunks)
      .where(inArray(damagedChunks.hash, [...hashes]))
      .returning({ digest: damagedChunks.digest })
    const names = await tellImages(tx, [...new Set(rows.map(({ digest }) => digest))])
    if (rows.length > 0)
      recordEvent(tx, 'notice', {
        code: 'chunk-healed',
        message: `${hashes.length} damaged chunks are in the store again, of ${names.map((name) => `"${name}"`).join(', ') || 'no image'}`,
        images: names,
      })
    return names
  })
}

async function tellImages(tx: Transaction, digests: readonly Sha256[]): Promise<string[]> {
  if (digests.length === 0) return []
  const rows = await tx
    .select({ name: images.name })
    .from(images)
    .where(inArray(images.digest, [...digests]))
    .orderBy(asc(images.name))
  for (const { name } of rows) {
    const image = await findImage(tx, name)
    if (image) recordEvent(tx, 'image', image)
  }
  return rows.map(({ name }) => name)
}

export async function listDamage(db: Database): Promise<(Damage & { digest: Sha256 })[]> {
  return db.select().from(damagedChunks).orderBy(asc(damagedChunks.foundAt))
}

/** Images by how many chunks they lack. */
export async function listDamagedImages(db: Database): Promise<{ name: string; chunks: number }[]> {
  return db
    .select({ name: images.name, chunks: count() })
    .from(damagedChunks)
    .innerJoin(images, eq(images.digest, damagedChunks.digest))
    .groupBy(images.name)
    .orderBy(asc(images.name))
}
