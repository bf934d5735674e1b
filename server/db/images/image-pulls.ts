import { and, desc, eq, lt, ne, notInArray } from 'drizzle-orm'
import type { ImagePull } from '#protocol/image/image-pull.ts'
import type { Database } from '../database.ts'
import { imagePulls } from '../schema.ts'

/** What is remembered of images that a server fetches from elsewhere. */

export type PullRow = typeof imagePulls.$inferSelect

const KEPT_MILLISECONDS = 30 * 24 * 3600 * 1000
const MOST_LISTED = 100

export async function insertPull(
  db: Database,
  pull: Pick<PullRow, 'id' | 'image' | 'url' | 'createdBy'>,
  now: Date,
): Promise<void> {
  await db.insert(imagePulls).values({ ...pull, state: 'running', createdAt: now, touchedAt: now })
}

/** Notes how far it came; whether it is to be given up. */
export async function touchPull(
  db: Database,
  id: string,
  progress: { bytesDone: number; bytesTotal: number | null },
  now: Date,
): Promise<{ cancelRequested: boolean }> {
  const [row] = await db
    .update(imagePulls)
    .set({ ...progress, touchedAt: now })
    .where(and(eq(imagePulls.id, id), eq(imagePulls.state, 'running')))
    .returning({ cancelRequested: imagePulls.cancelRequested })
  return { cancelRequested: row?.cancelRequested ?? true }
}

export async function endPull(
  db: Database,
  id: string,
  end: Partial<PullRow> & Pick<PullRow, 'state'>,
  now: Date,
): Promise<void> {
  await db
    .update(imagePulls)
    .set({ ...end, touchedAt: now, finishedAt: now })
    .where(and(eq(imagePulls.id, id), eq(imagePulls.state, 'running')))
}

/** Ends those that no server works on any more: it was stopped before they were done. */
export async function failLostPulls(
  db: Database,
  { silentSince, except }: { silentSince: Date | undefined; except: readonly string[] },
  now: Date,
): Promise<void> {
  await db
    .update(imagePulls)
    .set({ state: 'failed', error: RESTARTED, finishedAt: now })
    .where(
      and(
        eq(imagePulls.state, 'running'),
        silentSince && lt(imagePulls.touchedAt, silentSince),
        except.length > 0 ? notInArray(imagePulls.id, [...except]) : undefined,
      ),
    )
}

export const RESTARTED = {
  code: 'server-restarted',
  message: 'The server was restarted before the image was there; fetch it again',
}

/** For the server that works on it, which looks now and then; false if it has ended. */
export async function requestPullCancel(db: Database, id: string): Promise<boolean> {
  const rows = await db
    .update(imagePulls)
    .set({ cancelRequested: true })
    .where(and(eq(imagePulls.id, id), eq(imagePulls.state, 'running')))
    .returning({ id: imagePulls.id })
  return rows.length > 0
}

export async function findPull(db: Database, id: string): Promise<PullRow | undefined> {
  const [row] = await db.select().from(imagePulls).where(eq(imagePulls.id, id))
  return row
}

/** Newest first. */
export async function listPulls(db: Database): Promise<PullRow[]> {
  return db
    .select()
    .from(imagePulls)
    .orderBy(desc(imagePulls.createdAt), desc(imagePulls.id))
    .limit(MOST_LISTED)
}

/** The one that is about to become this image. */
export async function findRunningPull(db: Database, name: string): Promise<PullRow | undefined> {
  const [row] = await db
    .select()
    .from(imagePulls)
    .where(and(eq(imagePulls.image, name), eq(imagePulls.state, 'running')))
    .limit(1)
  return row
}

export async function prunePulls(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - KEPT_MILLISECONDS)
  await db
    .delete(imagePulls)
    .where(and(ne(imagePulls.state, 'running'), lt(imagePulls.createdAt, limit)))
}

export function toPull(row: PullRow): ImagePull {
  const { cancelRequested: _cancel, touchedAt: _touched, createdAt, finishedAt, ...rest } = row
  return {
    ...rest,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}
