import { randomUUID } from 'node:crypto'
import { and, eq, gte, like, or, sql } from 'drizzle-orm'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '../database.ts'
import { uploads } from '../schema.ts'

/** An upload or capture that nobody went on with for so long is over. */
export const IDLE_UPLOAD_SECONDS = 24 * 3600

/** Holders that begin so are alive as long as their server is, and touched every minute. */
export const SERVER_UPLOAD = 'upload:'

/** Of an export that takes long; it keeps what it reads, and no garbage besides. */
const EXPORT = 'export:'

/** Of somebody who reads an image chunk by chunk, by no run; it keeps what it reads, and no garbage besides. */
const READ = 'read:'
const NO_DIGEST = parseSha256('0'.repeat(64))

/** A reader may compare a large disk, or wait for an answer, for so long without asking for a chunk. */
export const IDLE_READ_SECONDS = 3600

export interface OpenUpload {
  id: string
  holder: string
  startedAt: Date
  touchedAt: Date
}

export function isExport({ holder }: Pick<OpenUpload, 'holder'>): boolean {
  return holder.startsWith(EXPORT)
}

export function isOfServer(holder: string): boolean {
  return holder.startsWith(SERVER_UPLOAD) || isExport({ holder })
}

export function isRead({ holder }: Pick<OpenUpload, 'holder'>): boolean {
  return holder.startsWith(READ)
}

export function readHolder(digest: Sha256, reader: string): string {
  return `${READ}${digest}:${reader}`
}

/** Of all images that it began to read. */
export async function goOnReading(db: Database, reader: string, now: Date): Promise<void> {
  const readers = sql`substr(${uploads.holder}, ${readHolder(NO_DIGEST, '').length + 1})`
  await db
    .update(uploads)
    .set({ touchedAt: now })
    .where(and(like(uploads.holder, `${READ}%`), eq(readers, reader)))
}

/** What is being read chunk by chunk, on all servers. */
export async function listReads(db: Database): Promise<Sha256[]> {
  const rows = await db
    .select({ holder: uploads.holder })
    .from(uploads)
    .where(like(uploads.holder, `${READ}%`))
  return rows.map(({ holder }) => parseSha256(holder.split(':')[1]!))
}

export function exportHolder(digest: Sha256, id: string): string {
  return `${EXPORT}${digest}:${id}`
}

/**
 * Opens the holder's upload, or says that it goes on. Of a clock that was set back since, it began when
 * the clock says that it is now: what it puts from here on is no older.
 */
export async function touchUpload(
  db: Database,
  holder: string,
  now: Date,
  startedAt = now,
): Promise<void> {
  const touched = await db
    .update(uploads)
    .set({
      touchedAt: now,
      startedAt: sql`least(${uploads.startedAt}, ${now.toISOString()}::timestamptz)`,
    })
    .where(eq(uploads.holder, holder))
    .returning()
  if (touched.length > 0) return
  await db.insert(uploads).values({ id: randomUUID(), holder, startedAt, touchedAt: now })
}

/** From here on, what the holder stored and nothing uses is garbage. */
export async function closeUpload(db: Database, holder: string): Promise<void> {
  await db.delete(uploads).where(eq(uploads.holder, holder))
}

/** Uploads, captures, reads and long exports on all servers. */
export async function listOpenUploads(db: Database): Promise<OpenUpload[]> {
  return await db.select().from(uploads)
}

export async function findOpenUpload(
  db: Database,
  holder: string,
): Promise<OpenUpload | undefined> {
  const [row] = await db.select().from(uploads).where(eq(uploads.holder, holder))
  return row
}

/** Unless somebody went on with it since it was listed or found. */
export async function endUpload(db: Database, { id, touchedAt }: OpenUpload): Promise<void> {
  await db.delete(uploads).where(and(eq(uploads.id, id), eq(uploads.touchedAt, touchedAt)))
}

/** Exports that took longer than a minute, on all servers. */
export async function listLongExports(
  db: Database,
): Promise<{ digest: Sha256; startedAt: Date }[]> {
  const rows = await db
    .select({ holder: uploads.holder, startedAt: uploads.startedAt })
    .from(uploads)
    .where(like(uploads.holder, `${EXPORT}%`))
  return rows.map(({ holder, startedAt }) => ({
    digest: parseSha256(holder.split(':')[1]!),
    startedAt,
  }))
}

/** Whether anybody uploads or captures: who has done so since. */
export async function isUploading(db: Database, since: Date): Promise<boolean> {
  const [row] = await db
    .select({ id: uploads.id })
    .from(uploads)
    .where(gte(uploads.touchedAt, since))
    .limit(1)
  return row !== undefined
}

/** Ends the uploads of all servers: none of them is there any more. */
export async function closeServerUploads(db: Database): Promise<void> {
  await db
    .delete(uploads)
    .where(or(like(uploads.holder, `${SERVER_UPLOAD}%`), like(uploads.holder, `${EXPORT}%`)))
}
