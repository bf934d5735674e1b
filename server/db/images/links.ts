import { and, eq, gt, lt } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { links } from '../schema.ts'

export interface Link {
  kind: 'download' | 'upload'
  imageName: string
  /** Of a download: the content that was linked. */
  digest: Sha256 | null
  /** The run that it was made for, if for one. */
  runId: string | null
  expiresAt: Date
}

/** `hash` is that of the token: the token itself is kept nowhere. */
export async function saveLink(
  db: Database | Transaction,
  hash: Sha256,
  link: Link,
): Promise<void> {
  await db.insert(links).values({ hash, ...link })
}

/** Undefined if there is none, or it expired. */
export async function findLink(db: Database, hash: Sha256, now: Date): Promise<Link | undefined> {
  const [row] = await db
    .select()
    .from(links)
    .where(and(eq(links.hash, hash), gt(links.expiresAt, now)))
  return row
}

export async function pruneLinks(db: Database, now: Date): Promise<void> {
  await db.delete(links).where(lt(links.expiresAt, now))
}
