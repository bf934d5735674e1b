import { and, desc, eq, gt, inArray, isNull, lt, notInArray, sql } from 'drizzle-orm'
import type { ImageLink } from '#protocol/image/image-link.ts'
import { parseImageReference } from '#protocol/image/image-reference.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { imageVersions, links } from '../schema.ts'
import { findVersionRow } from './image-versions.ts'

/** Taken by whoever ends links with what they open. */
const LINKS_LOCK = 7_823_475

export interface Link {
  /** Of version 7, so that ids are in the order of their making. */
  id: string
  kind: 'download' | 'upload'
  imageName: string
  /** Of a download: the content that was linked. */
  digest: Sha256 | null
  /** The run that it was made for, if for one. */
  runId: string | null
  createdAt: Date
  /** null: made for a run. */
  createdBy: string | null
  expiresAt: Date
}

export type StoredLink = typeof links.$inferSelect

/** `hash` is that of the token: the token itself is kept nowhere. */
export async function saveLink(
  db: Database | Transaction,
  hash: Sha256,
  link: Link,
): Promise<void> {
  await db.insert(links).values({ hash, ...link })
}

/** Undefined if there is none, or it expired. */
export async function findLink(
  db: Database,
  hash: Sha256,
  now: Date,
): Promise<StoredLink | undefined> {
  const [row] = await db
    .select()
    .from(links)
    .where(and(eq(links.hash, hash), gt(links.expiresAt, now)))
  return row
}

export async function touchLink(db: Database, hash: Sha256, now: Date): Promise<void> {
  await db.update(links).set({ lastUsedAt: now }).where(eq(links.hash, hash))
}

/** Those that somebody made, which a run's are not. */
function isOfPeople() {
  return and(isNull(links.runId), eq(links.kind, 'download'))
}

/**
 * Newest first: what somebody made and is still good, of all images, or of what this reference means. Of
 * a name alone those are the links to any of its versions, under whatever name they were made.
 */
export async function listLinks(
  db: Database,
  {
    image,
    limit,
    after,
  }: { image?: string | undefined; limit: number; after?: string | undefined },
  now: Date,
): Promise<{ items: ImageLink[]; next: string | null }> {
  const rows = await db
    .select()
    .from(links)
    .where(
      and(
        isOfPeople(),
        gt(links.expiresAt, now),
        image === undefined ? undefined : await isTo(db, image),
        after === undefined ? undefined : lt(links.id, after),
      ),
    )
    .orderBy(desc(links.id))
    .limit(limit + 1)
  const items = rows.slice(0, limit).map(toImageLink)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

async function isTo(db: Database, reference: string) {
  const { name, version } = parseImageReference(reference)
  if (version !== undefined) {
    const row = await findVersionRow(db, reference)
    return inArray(links.digest, row ? [row.digest] : [])
  }
  const digests = db
    .select({ digest: imageVersions.digest })
    .from(imageVersions)
    .where(eq(imageVersions.image, name))
  return inArray(links.digest, digests)
}

/** Undefined if there is none that somebody made, or it expired. */
export async function revokeLink(
  db: Database,
  id: string,
  now: Date,
): Promise<ImageLink | undefined> {
  const [row] = await db
    .delete(links)
    .where(and(eq(links.id, id), isOfPeople(), gt(links.expiresAt, now)))
    .returning()
  return row && toImageLink(row)
}

/** Ends what somebody made to contents that no image has any more. */
export async function endLinksTo(tx: Transaction, digests: readonly Sha256[]): Promise<void> {
  // Of two images with one content that are deleted at once, each would leave its links to the other.
  await tx.execute(sql`select pg_advisory_xact_lock(${LINKS_LOCK})`)
  const kept = tx.select({ digest: imageVersions.digest }).from(imageVersions)
  await tx
    .delete(links)
    .where(and(isOfPeople(), inArray(links.digest, [...digests]), notInArray(links.digest, kept)))
}

export async function pruneLinks(db: Database, now: Date): Promise<void> {
  await db.delete(links).where(lt(links.expiresAt, now))
}

export function toImageLink({ lastUsedAt, ...row }: Omit<StoredLink, 'hash'>): ImageLink {
  return {
    id: row.id,
    image: row.imageName,
    digest: row.digest!,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    expiresAt: row.expiresAt.toISOString(),
  }
}
