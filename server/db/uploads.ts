import { randomUUID } from 'node:crypto'
import { and, eq, gte, like, lt, min, notLike, or } from 'drizzle-orm'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from './database.ts'
import { uploads } from './schema.ts'

/** An upload or capture that nobody went on with for so long is over. */
export const IDLE_UPLOAD_SECONDS = 24 * 3600

/** Holders that begin so are alive as long as their server is, and touched every minute. */
export const SERVER_UPLOAD = 'upload:'
const DEAD_SERVER_SECONDS = 600

/** Of an export that takes long; it keeps what it reads, and no garbage besides. */
const EXPORT = 'export:'

export function exportHolder(digest: Sha256, id: string): string {
  return `${EXPORT}${digest}:${id}`
}

/** Opens the holder's upload, or says that it goes on. */
export async function touchUpload(
  db: Database,
  holder: string,
  now: Date,
  startedAt = now,
): Promise<void> {
  const touched = await db
    .update(uploads)
    .set({ touchedAt: now })
    .where(eq(uploads.holder, holder))
    .returning()
  if (touched.length > 0) return
  await db.insert(uploads).values({ id: randomUUID(), holder, startedAt, touchedAt: now })
}

/** From here on, what the holder stored and nothing uses is garbage. */
export async function closeUpload(db: Database, holder: string): Promise<void> {
  await db.delete(uploads).where(eq(uploads.holder, holder))
}

/** When the oldest open upload began; idle ones are ended first. */
export async function oldestUploadStart(db: Database, now: Date): Promise<Date | undefined> {
  const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000)
  await db.delete(uploads).where(lt(uploads.touchedAt, ago(IDLE_UPLOAD_SECONDS)))
  await closeServerUploads(db, ago(DEAD_SERVER_SECONDS))
  const [row] = await db
    .select({ startedAt: min(uploads.startedAt) })
    .from(uploads)
    .where(notLike(uploads.holder, `${EXPORT}%`))
  return row?.startedAt ?? undefined
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

/** Ends the uploads of servers that died: those not touched since. */
export async function closeServerUploads(db: Database, untouchedSince: Date): Promise<void> {
  await db
    .delete(uploads)
    .where(
      and(
        or(like(uploads.holder, `${SERVER_UPLOAD}%`), like(uploads.holder, `${EXPORT}%`)),
        lt(uploads.touchedAt, untouchedSince),
      ),
    )
}
