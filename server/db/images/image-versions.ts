import { and, asc, desc, eq, inArray, sql } from 'drizzle-orm'
import { parseImageReference } from '#protocol/image/image-reference.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { countDamage } from './damage-count.ts'
import type { Database, Transaction } from '../database.ts'
import { findVersionUsage } from './image-usage.ts'
import { images, imageVersions, manifests, type StoredImageInfo } from '../schema.ts'

/** What is written down of how a version came to be. */
export interface VersionOrigin {
  /** A user, or the machine that was captured. */
  createdBy?: string | undefined
  runId?: string | undefined
  /** false: the name goes on standing for what it stands for. A new name stands for its first version in any case. */
  promote?: boolean | undefined
}

export interface NewVersion extends VersionOrigin {
  name: string
  digest: Sha256
  info: StoredImageInfo
  /** Undefined: that of the image stays. */
  description?: string | undefined
}

type ImageRow = typeof images.$inferSelect

/**
 * Adds a version to the image, whose row the caller has locked, or makes the image. What is the newest
 * version already is not kept twice, and a capture whose agent did not hear our answer changes nothing.
 * Returns its number, and whether the name stands for it now.
 */
export async function addVersion(
  tx: Transaction,
  current: ImageRow | undefined,
  added: NewVersion,
  now: Date,
): Promise<{ version: number; isPromoted: boolean }> {
  const { name, digest, info, description } = added
  const told = current && added.runId !== undefined && (await findCaptured(tx, added))
  if (told) return { version: told.version, isPromoted: current.version === told.version }
  const newest = current && (await findNewest(tx, name))
  const isSame = newest?.digest === digest
  const version = isSame ? newest.version : (current?.lastVersion ?? 0) + 1
  const isPromoted = !current || added.promote !== false || current.version === version
  const promoted = { digest, info, version, createdAt: now }
  const described = description ? { description } : {}
  if (!current)
    await tx.insert(images).values({ name, ...promoted, ...described, lastVersion: version })
  else
    await tx
      .update(images)
      .set({
        lastVersion: Math.max(version, current.lastVersion),
        ...(isPromoted && promoted),
        ...described,
      })
      .where(eq(images.name, name))
  const createdBy = added.createdBy ?? null
  const row = {
    digest,
    info,
    createdAt: now,
    createdBy,
    runId: added.runId ?? null,
    ...(isPromoted && { promotedAt: now, promotedBy: createdBy }),
  }
  await tx
    .insert(imageVersions)
    .values({ image: name, version, ...row })
    .onConflictDoUpdate({ target: [imageVersions.image, imageVersions.version], set: row })
  return { version, isPromoted }
}

async function findCaptured(tx: Transaction, { name, digest, runId }: NewVersion) {
  const [row] = await tx
    .select({ version: imageVersions.version })
    .from(imageVersions)
    .where(
      and(
        eq(imageVersions.image, name),
        eq(imageVersions.digest, digest),
        eq(imageVersions.runId, runId!),
      ),
    )
  return row
}

async function findNewest(tx: Transaction, name: string) {
  const [row] = await tx
    .select({ version: imageVersions.version, digest: imageVersions.digest })
    .from(imageVersions)
    .where(eq(imageVersions.image, name))
    .orderBy(desc(imageVersions.version))
    .limit(1)
  return row
}

const columns = {
  image: imageVersions.image,
  version: imageVersions.version,
  digest: imageVersions.digest,
  sizeBytes: manifests.sizeBytes,
  sectorBytes: manifests.sectorBytes,
  storedBytes: manifests.storedBytes,
  contentBytes: manifests.contentBytes,
  uniqueBytes: manifests.uniqueBytes,
  createdAt: imageVersions.createdAt,
  createdBy: imageVersions.createdBy,
  runId: imageVersions.runId,
  info: imageVersions.info,
  promoted: images.version,
  promotedAt: imageVersions.promotedAt,
  promotedBy: imageVersions.promotedBy,
}

/** Newest first. */
export async function listVersions(
  db: Database | Transaction,
  name: string,
  now: Date,
): Promise<ImageVersion[]> {
  const rows = await db
    .select(columns)
    .from(imageVersions)
    .innerJoin(images, eq(images.name, imageVersions.image))
    .innerJoin(manifests, eq(manifests.digest, imageVersions.digest))
    .where(eq(imageVersions.image, name))
    .orderBy(desc(imageVersions.version))
  const usage = await findVersionUsage(db, name, rows, now)
  const damage = await countDamage(
    db,
    rows.map(({ digest }) => digest),
  )
  return rows.map(({ info: { fileName, ...info }, promoted, createdAt, promotedAt, ...row }) => ({
    ...row,
    createdAt: createdAt.toISOString(),
    promotedAt: promotedAt?.toISOString() ?? null,
    isPromoted: promoted === row.version,
    ...(fileName !== undefined && { fileName }),
    info,
    ...(damage.has(row.digest) && { damaged: { chunks: damage.get(row.digest)! } }),
    usedBy: usage.get(row.version)!,
  }))
}

export type StoredVersion = typeof imageVersions.$inferSelect

/** The row that a reference with a version means: `@3`, `@latest`. Undefined for one without. */
export async function findVersionRow(
  db: Database | Transaction,
  reference: string,
): Promise<StoredVersion | undefined> {
  const { name, version } = parseImageReference(reference)
  if (version === undefined) return undefined
  const [row] = await db
    .select()
    .from(imageVersions)
    .where(
      and(
        eq(imageVersions.image, name),
        version === 'latest' ? undefined : eq(imageVersions.version, version),
      ),
    )
    .orderBy(desc(imageVersions.version))
    .limit(1)
  return row
}

/** How many versions each image has, and the number of the newest. */
export async function countVersions(
  db: Database | Transaction,
  names: readonly string[],
): Promise<Map<string, { versionCount: number; latestVersion: number }>> {
  if (names.length === 0) return new Map()
  const rows = await db
    .select({
      image: imageVersions.image,
      versionCount: sql<number>`count(*)`.mapWith(Number),
      latestVersion: sql<number>`max(${imageVersions.version})`.mapWith(Number),
    })
    .from(imageVersions)
    .where(inArray(imageVersions.image, [...names]))
    .groupBy(imageVersions.image)
    .orderBy(asc(imageVersions.image))
  return new Map(rows.map(({ image, ...counts }) => [image, counts]))
}

/** Names of the images that have more than one version. */
export async function listManyVersioned(db: Database): Promise<string[]> {
  const rows = await db
    .select({ image: imageVersions.image })
    .from(imageVersions)
    .groupBy(imageVersions.image)
    .having(sql`count(*) > 1`)
    .orderBy(asc(imageVersions.image))
  return rows.map(({ image }) => image)
}
