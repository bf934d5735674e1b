import { and, count, desc, eq, ne, sql, sum } from 'drizzle-orm'
import { unionAll } from 'drizzle-orm/pg-core'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import { imageNameOf } from '#protocol/image/image-reference.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { findVersionRow } from './image-versions.ts'
import { images, imageVersions, manifests } from '../schema.ts'

/**
 * What an image, or a version of one, is at the moment, kept from being deleted or replaced until the
 * transaction ends.
 */
export async function findImageDigest(
  tx: Transaction,
  reference: string,
): Promise<Sha256 | undefined> {
  const [row] = await tx
    .select({ digest: images.digest })
    .from(images)
    .where(eq(images.name, imageNameOf(reference)))
    .for('share')
  if (!row || !reference.includes('@')) return row?.digest
  return (await findVersionRow(tx, reference))?.digest
}

/**
 * What a run's agent needs to know of its image. Once the name means another, `info` is that of
 * another version or image of this content: the same one after it was renamed.
 */
export async function findPinnedImage(
  tx: Database | Transaction,
  reference: string,
  digest: Sha256,
): Promise<{ sizeBytes: number; sectorBytes: number; info?: ImageInfo } | undefined> {
  const name = imageNameOf(reference)
  const [row] = await tx
    .select({
      sizeBytes: manifests.sizeBytes,
      sectorBytes: manifests.sectorBytes,
      ofImage: images.info,
      ofVersion: imageVersions.info,
    })
    .from(manifests)
    .leftJoin(imageVersions, eq(imageVersions.digest, manifests.digest))
    .leftJoin(images, eq(images.digest, manifests.digest))
    .where(eq(manifests.digest, digest))
    .orderBy(
      sql`${imageVersions.image} = ${name} desc nulls last`,
      sql`${images.name} = ${name} desc nulls last`,
      desc(imageVersions.version),
      images.name,
    )
    .limit(1)
  if (!row) return undefined
  const { ofImage, ofVersion, ...sizes } = row
  const stored = ofVersion ?? ofImage
  if (!stored) return sizes
  const { fileName: _fileName, ...info } = stored
  return { ...sizes, info }
}

/** For figures: versions of an image count each, and so do chunks that images share. */
export async function sumImages(
  db: Database,
): Promise<{ images: number; sizeBytes: number; contentBytes: number; storedBytes: number }> {
  const [counted] = await db.select({ images: count() }).from(images)
  const contents = unionAll(
    db.select({ image: images.name, version: images.version, digest: images.digest }).from(images),
    db
      .select({
        image: imageVersions.image,
        version: imageVersions.version,
        digest: imageVersions.digest,
      })
      .from(imageVersions)
      .innerJoin(
        images,
        and(eq(images.name, imageVersions.image), ne(images.version, imageVersions.version)),
      ),
  ).as('contents')
  const [row] = await db
    .select({
      sizeBytes: sum(manifests.sizeBytes).mapWith(Number),
      contentBytes: sum(manifests.contentBytes).mapWith(Number),
      storedBytes: sum(manifests.storedBytes).mapWith(Number),
    })
    .from(contents)
    .innerJoin(manifests, eq(contents.digest, manifests.digest))
  return {
    images: counted?.images ?? 0,
    sizeBytes: row?.sizeBytes ?? 0,
    contentBytes: row?.contentBytes ?? 0,
    storedBytes: row?.storedBytes ?? 0,
  }
}
