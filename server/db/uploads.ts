import { randomUUID } from 'node:crypto'
import { and, eq, like, lt, min } from 'drizzle-orm'
import type { Database } from './database.ts'
import { uploads } from './schema.ts'

/** An upload or capture that nobody went on with for so long is over. */
export const IDLE_UPLOAD_SECONDS = 24 * 3600

/** Holders that begin so are alive as long as their server is, and touched every minute. */
export const SERVER_UPLOAD = 'upload:'
const DEAD_SERVER_SECONDS = 600

/** Opens the holder's upload, or says that it goes on. */
export async function touchUpload(db: Database, holder: string, now: Date): Promise<void> {
  const touched = await db
    .update(uploads)
    .set({ touchedAt: now })
    .where(eq(uploads.holder, holder))
    .returning()
  if (touched.length > 0) return
  await db.insert(uploads).values({ id: randomUUID(), holder, startedAt: now, touchedAt: now })
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
  const [row] = await db.select({ startedAt: min(uploads.startedAt) }).from(uploads)
  return row?.startedAt ?? undefined
}

/** Ends the uploads of servers that died: those not touched since. */
export async function closeServerUploads(db: Database, untouchedSince: Date): Promise<void> {
  await db
    .delete(uploads)
    .where(and(like(uploads.holder, `${SERVER_UPLOAD}%`), lt(uploads.touchedAt, untouchedSince)))
}
