import { asc, gt, lt, max, min, sql } from 'drizzle-orm'
import type { Database, Transaction } from './database.ts'
import { events } from './schema.ts'

export type EventKind = (typeof events.$inferSelect)['kind']

export interface StoredEvent {
  id: number
  kind: EventKind
  data: unknown
}

/** Heard with OpenedDatabase.listen when events were committed; the payload says nothing. */
export const EVENTS_CHANNEL = 'stampede_events'
/** Progress of runs, in the payload and nowhere else. */
export const PROGRESS_CHANNEL = 'stampede_progress'

/** Taken by whoever writes events, so that they become visible in the order of their ids. */
const EVENTS_LOCK = 7_823_462
const KEPT_EVENTS = 20_000

/**
 * Stores an event with the change that it tells of. Call it last in a transaction: until its end no
 * other event can be written.
 */
export async function recordEvent(tx: Transaction, kind: EventKind, data: object): Promise<void> {
  await recordEvents(tx, kind, [data])
}

/** Several of one kind, in this order. */
export async function recordEvents(
  tx: Transaction,
  kind: EventKind,
  datas: readonly object[],
): Promise<void> {
  if (datas.length === 0) return
  await tx.execute(sql`select pg_advisory_xact_lock(${EVENTS_LOCK})`)
  await tx.insert(events).values(datas.map((data) => ({ kind, data })))
  await tx.execute(sql`select pg_notify(${EVENTS_CHANNEL}, '')`)
}

/** The events after `id`, oldest first. */
export async function listEventsAfter(
  db: Database,
  id: number,
  limit: number,
): Promise<StoredEvent[]> {
  return db
    .select({ id: events.id, kind: events.kind, data: events.data })
    .from(events)
    .where(gt(events.id, id))
    .orderBy(asc(events.id))
    .limit(limit)
}

/** Where a listener begins that saw nothing yet. */
export async function lastEventId(db: Database): Promise<number> {
  const [row] = await db.select({ id: max(events.id) }).from(events)
  return row?.id ?? 0
}

/** Undefined: nothing is kept. */
export async function oldestEventId(db: Database): Promise<number | undefined> {
  const [row] = await db.select({ id: min(events.id) }).from(events)
  return row?.id ?? undefined
}

/** Tells every server's listeners how far a run got. Nothing is stored. */
export async function notifyProgress(db: Database, progress: object): Promise<void> {
  await db.execute(sql`select pg_notify(${PROGRESS_CHANNEL}, ${JSON.stringify(progress)})`)
}

/** Forgets all but the newest events. */
export async function pruneEvents(db: Database): Promise<void> {
  const newest = await lastEventId(db)
  await db.delete(events).where(lt(events.id, newest - KEPT_EVENTS))
}
