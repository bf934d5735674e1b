import { count, eq, sql, sum } from 'drizzle-orm'
import type { ImageInfo } from '#protocol/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from './database.ts'
import { images, manifests } from './schema.ts'

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

/**
 * What a run's agent needs to know of its image. Once the name means another, `info` is that of
 * another image of this content: the same one after it was renamed.
 */
export async function findPinnedImage(
  tx: Transaction,
  name: string,
  digest: Sha256,
): Promise<{ sizeBytes: number; sectorBytes: number; info?: ImageInfo } | undefined> {
  const [row] = await tx
    .select({
      sizeBytes: manifests.sizeBytes,
      sectorBytes: manifests.sectorBytes,
      stored: images.info,
    })
    .from(manifests)
    .leftJoin(images, eq(images.digest, manifests.digest))
    .where(eq(manifests.digest, digest))
    .orderBy(sql`${images.name} = ${name} desc nulls last`, images.name)
    .limit(1)
  if (!row) return undefined
  const { stored, ...sizes } = row
  if (!stored) return sizes
  const { fileName: _fileName, ...info } = stored
  return { ...sizes, info }
}

/** For figures: chunks that images share count for each of them. */
export async function sumImages(
  db: Database,
): Promise<{ images: number; sizeBytes: number; contentBytes: number; storedBytes: number }> {
  const [row] = await db
    .select({
      images: count(),
      sizeBytes: sum(manifests.sizeBytes).mapWith(Number),
      contentBytes: sum(manifests.contentBytes).mapWith(Number),
      storedBytes: sum(manifests.storedBytes).mapWith(Number),
    })
    .from(images)
    .innerJoin(manifests, eq(images.digest, manifests.digest))
  return {
    images: row?.images ?? 0,
    sizeBytes: row?.sizeBytes ?? 0,
    contentBytes: row?.contentBytes ?? 0,
    storedBytes: row?.storedBytes ?? 0,
  }
}
