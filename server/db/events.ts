import { lt, max, min, sql, type SQL } from 'drizzle-orm'
import type { Database, Transaction } from './database.ts'
import { events } from './schema.ts'

export type EventKind = (typeof events.$inferSelect)['kind']

export interface StoredEvent {
  id: number
  kind: EventKind
  data: unknown
}

/** Heard with OpenedDatabase.listen when events were committed; `changedRunOf` reads the payload. */
export const EVENTS_CHANNEL = 'stampede_events'
/** Progress of runs, in the payload and nowhere else. */
export const PROGRESS_CHANNEL = 'stampede_progress'

/** Taken by whoever writes events, so that they become visible in the order of their ids. */
const EVENTS_LOCK = 7_823_462
const KEPT_EVENTS = 20_000
/** Of events that are read at once, for each listener: one holds a whole machine, which may be 4 MiB. */
const MAX_READ_BYTES = 1024 * 1024
/** PostgreSQL refuses notifications of 8000 bytes. */
const MAX_PAYLOAD_BYTES = 7900

/** What the transactions that are open now have to tell at their end. */
const toTell = new WeakMap<Transaction, { kind: EventKind; data: object }[]>()

/**
 * Stores an event with the change that it tells of, at the end of the transaction: from there on no
 * other event can be written, and whoever waited for a row meanwhile would wait for ever.
 */
export function recordEvent(tx: Transaction, kind: EventKind, data: object): void {
  recordEvents(tx, kind, [data])
}

/** Several of one kind, in this order. */
export function recordEvents(tx: Transaction, kind: EventKind, datas: readonly object[]): void {
  const known = toTell.get(tx) ?? []
  toTell.set(tx, [...known, ...datas.map((data) => ({ kind, data }))])
}

/** Writes what was recorded; the last thing that a transaction does. */
export async function writeEvents(tx: Transaction): Promise<void> {
  const told = toTell.get(tx)
  if (!told || told.length === 0) return
  toTell.delete(tx)
  await tx.execute(sql`select pg_advisory_xact_lock(${EVENTS_LOCK})`)
  await tx.insert(events).values(told)
  const changed = [...new Set(told.map(({ kind, data }) => payloadOf(kind, data)))]
  await tx.execute(
    sql`select pg_notify(${EVENTS_CHANNEL}, payload) from unnest(${sql.param(changed)}::text[]) payload`,
  )
}

/** Whoever keeps runs in memory learns which one to forget. */
function payloadOf(kind: EventKind, data: object): string {
  if ('deleted' in data) return ''
  return kind === 'run' && 'id' in data ? `run ${String(data.id)}` : kind
}

/** The run that a notification on EVENTS_CHANNEL is of, if it is of one; `any` if it may be of all. */
export function changedRunOf(payload: string): string | undefined {
  if (payload === '') return 'any'
  return payload.startsWith('run ') ? payload.slice('run '.length) : undefined
}

/**
 * The events after `id`, oldest first: `limit` at most, and none after the one that fills MAX_READ_BYTES. `isMore`
 * says that either ended them, so that there may be others.
 */
export async function listEventsAfter(
  db: Database,
  id: number,
  limit: number,
): Promise<{ items: StoredEvent[]; isMore: boolean }> {
  // From one to the next by the key: what is not told is not read. "offset 0": else each text would be made twice.
  const nextAfter = (seen: SQL) => sql`
    select id, kind, data::text as text
    from ${events} where id > ${seen} order by id limit 1 offset 0`
  const result = await db.execute(sql`
    with recursive told as (
      select ${id}::bigint as id, null::text as kind, null::text as text, 0 as place, 0::bigint as bytes
      union all
      select next.id, next.kind, next.text, place + 1, bytes + octet_length(next.text)
      from told, lateral (${nextAfter(sql`told.id`)}) next
      where place < ${limit} and bytes < ${MAX_READ_BYTES}
    )
    select id, kind, text, place = ${limit} or bytes >= ${MAX_READ_BYTES} as "isFull"
    from told where place > 0 order by place`)
  const { rows } = result as unknown as { rows: ReadEvent[] } // both drivers answer so
  const items = rows.map(({ id, kind, text }) => ({
    id: Number(id),
    kind,
    data: JSON.parse(text) as unknown,
  }))
  return { items, isMore: rows.at(-1)?.isFull ?? false }
}

interface ReadEvent {
  /** A number of PGlite, a text of Postgres. */
  id: number | string
  kind: EventKind
  text: string
  isFull: boolean
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
  await notifyProgresses(db, [progress])
}

/** The same of many runs, in as few notifications as hold them: each a JSON array. */
export async function notifyProgresses(db: Database, progresses: readonly object[]): Promise<void> {
  const payloads: string[] = []
  for (const progress of progresses) {
    const text = JSON.stringify(progress)
    const last = payloads.at(-1)
    const joined = `${last},${text}`
    if (last !== undefined && Buffer.byteLength(joined) <= MAX_PAYLOAD_BYTES)
      payloads.splice(-1, 1, joined)
    else payloads.push(text)
  }
  const lists = payloads.map((payload) => `[${payload}]`)
  await db.execute(
    sql`select pg_notify(${PROGRESS_CHANNEL}, payload) from unnest(${sql.param(lists)}::text[]) payload`,
  )
}

/** Forgets all but the newest events. */
export async function pruneEvents(db: Database): Promise<void> {
  const newest = await lastEventId(db)
  await db.delete(events).where(lt(events.id, newest - KEPT_EVENTS))
}
