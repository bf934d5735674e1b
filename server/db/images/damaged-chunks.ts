import { asc, count, countDistinct, desc, eq, inArray } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { findImage } from './image-queries.ts'
import { damagedChunks, images, imageVersions } from '../schema.ts'

/** Chunks that images lack because they were found to be rotten or gone, until somebody brings them again. */

const ROWS_AT_ONCE = 1000

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
    recordEvent(tx, 'notice', {
      code: 'chunk-damaged',
      message: `Chunk ${damage.hash} of ${imageWords(names)} was damaged in the store and set aside: ${damage.reason}`,
      chunk: damage.hash,
      images: names,
    })
    return names
  })
}

/** Chunks of one image that are gone without a trace; names of the images with that content. */
export async function saveLost(
  db: Database,
  digest: Sha256,
  hashes: readonly Sha256[],
  foundAt: Date,
): Promise<string[]> {
  return db.transaction(async (tx) => {
    const reason = 'it is not in the store any more'
    for (let start = 0; start < hashes.length; start += ROWS_AT_ONCE) {
      const some = hashes.slice(start, start + ROWS_AT_ONCE)
      const values = some.map((hash) => ({ digest, hash, reason, foundAt }))
      await tx.insert(damagedChunks).values(values).onConflictDoNothing()
    }
    const names = await tellImages(tx, [digest])
    recordEvent(tx, 'notice', {
      code: 'chunks-lost',
      message: `${hashes.length === 1 ? 'A chunk' : `${hashes.length} chunks`} of ${imageWords(names)} ${hashes.length === 1 ? 'is' : 'are'} not in the store any more`,
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
        message: `${hashes.length === 1 ? 'A damaged chunk' : `${hashes.length} damaged chunks`} of ${imageWords(names)} ${hashes.length === 1 ? 'is' : 'are'} in the store again`,
        images: names,
      })
    return names
  })
}

function imageWords(names: readonly string[]): string {
  const quoted = names.map((name) => `"${name}"`).join(', ')
  return names.length === 0 ? 'no image' : `${names.length === 1 ? 'image' : 'images'} ${quoted}`
}

/** Tells of the images that have a version with such content, and names those versions. */
async function tellImages(tx: Transaction, digests: readonly Sha256[]): Promise<string[]> {
  if (digests.length === 0) return []
  const rows = await tx
    .select(versionColumns)
    .from(imageVersions)
    .innerJoin(images, eq(images.name, imageVersions.image))
    .where(inArray(imageVersions.digest, [...digests]))
    .orderBy(asc(imageVersions.image), desc(imageVersions.version))
  for (const name of new Set(rows.map(({ image }) => image))) {
    const image = await findImage(tx, name)
    if (image) recordEvent(tx, 'image', image)
  }
  return rows.map(versionName)
}

const versionColumns = {
  image: imageVersions.image,
  version: imageVersions.version,
  promoted: images.version,
}

/** The name of the image where it stands for this version, else with the number. */
function versionName({ image, version, promoted }: VersionOfImage): string {
  return version === promoted ? image : `${image}@${version}`
}

interface VersionOfImage {
  image: string
  version: number
  /** What the name stands for. */
  promoted: number
}

export async function listDamage(db: Database): Promise<(Damage & { digest: Sha256 })[]> {
  return db.select().from(damagedChunks).orderBy(asc(damagedChunks.foundAt))
}

export interface DamagedVersion {
  image: string
  version: number
  isPromoted: boolean
  chunks: number
  /** `debian-13`, or `debian-13@2` where the name stands for another version. */
  name: string
}

/** Versions of images by how many chunks they lack, newest first. */
export async function listDamagedVersions(db: Database): Promise<DamagedVersion[]> {
  const rows = await db
    .select({ ...versionColumns, chunks: count() })
    .from(damagedChunks)
    .innerJoin(imageVersions, eq(imageVersions.digest, damagedChunks.digest))
    .innerJoin(images, eq(images.name, imageVersions.image))
    .groupBy(imageVersions.image, imageVersions.version, images.version)
    .orderBy(asc(imageVersions.image), desc(imageVersions.version))
  return rows.map((row) => {
    const { image, version, promoted, chunks } = row
    return { image, version, isPromoted: version === promoted, chunks, name: versionName(row) }
  })
}

/** Versions of images with these contents, newest first. */
export async function listVersionsWith(
  db: Database,
  digests: readonly Sha256[],
): Promise<(Omit<DamagedVersion, 'chunks' | 'name'> & { digest: Sha256 })[]> {
  if (digests.length === 0) return []
  const rows = await db
    .select({ ...versionColumns, digest: imageVersions.digest })
    .from(imageVersions)
    .innerJoin(images, eq(images.name, imageVersions.image))
    .where(inArray(imageVersions.digest, [...digests]))
    .orderBy(asc(imageVersions.image), desc(imageVersions.version))
  return rows.map(({ promoted, ...row }) => ({ ...row, isPromoted: row.version === promoted }))
}

/** Chunks that images lack, each once. */
export async function countLostChunks(db: Database): Promise<number> {
  const [row] = await db
    .select({ chunks: countDistinct(damagedChunks.hash) })
    .from(damagedChunks)
    .innerJoin(imageVersions, eq(imageVersions.digest, damagedChunks.digest))
  return row?.chunks ?? 0
}
