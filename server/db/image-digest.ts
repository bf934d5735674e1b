import { eq } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from './database.ts'
import { images } from './schema.ts'

/**
 * What an image of that name is at the moment, kept from being deleted or replaced until the
 * transaction ends.
 */
export async function findImageDigest(tx: Transaction, name: string): Promise<Sha256 | undefined> {
  const [row] = await tx
    .select({ digest: images.digest })
    .from(images)
    .where(eq(images.name, name))
    .for('share')
  return row?.digest
}

export async function countImages(db: Database): Promise<number> {
  return db.$count(images)
}
