import { randomUUID } from 'node:crypto'
import { and, desc, eq, gte, lt, sql } from 'drizzle-orm'
import type { WebhookDelivery } from '#protocol/webhook.ts'
import type { Database } from '../database.ts'
import { webhookDeliveries } from '../schema.ts'

export type DeliveryRow = typeof webhookDeliveries.$inferSelect

const KEPT_SECONDS = 7 * 24 * 3600

/** How an attempt ended. */
export interface Attempt {
  status: number | null
  error: string | null
  answer: string | null
}

/** A delivery of a test; nobody sends it but the caller, and only once. */
export async function createTestDelivery(
  db: Database,
  webhookId: string,
  body: string,
  now: Date,
): Promise<DeliveryRow> {
  const [row] = await db
    .insert(webhookDeliveries)
    .values({
      id: randomUUID(),
      webhookId,
      eventId: null,
      kind: 'ping',
      body,
      state: 'failed',
      createdAt: now,
      lastError: 'The server stopped while it was sent',
    })
    .returning()
  return row!
}

export async function findDelivery(
  db: Database,
  webhookId: string,
  id: string,
): Promise<DeliveryRow | undefined> {
  const [row] = await db
    .select()
    .from(webhookDeliveries)
    .where(and(eq(webhookDeliveries.id, id), eq(webhookDeliveries.webhookId, webhookId)))
  return row
}

/** Newest first; `after` is the id of the last one of the page before. */
export async function listDeliveries(
  db: Database,
  webhookId: string,
  { state }: { state: DeliveryRow['state'] | undefined },
  { after, limit }: { after: string | undefined; limit: number },
): Promise<{ items: WebhookDelivery[]; next: string | null }> {
  const { createdAt, eventId, id } = webhookDeliveries
  // Several are made at once, so the time alone is no place in the list.
  const place = sql`(${createdAt}, coalesce(${eventId}, 0), ${id})`
  const rows = await db
    .select()
    .from(webhookDeliveries)
    .where(
      and(
        eq(webhookDeliveries.webhookId, webhookId),
        state && eq(webhookDeliveries.state, state),
        after === undefined
          ? undefined
          : sql`${place} < (select created_at, coalesce(event_id, 0), id from webhook_deliveries where id = ${after})`,
      ),
    )
    .orderBy(desc(createdAt), sql`coalesce(${eventId}, 0) desc`, desc(id))
    .limit(limit + 1)
  const page = rows.slice(0, limit)
  const next = rows.length > limit ? page.at(-1)!.id : null
  return { items: page.map(toDelivery), next }
}

/**
 * The attempt went well if it has no error; else `retryAt` says when to try again, null never.
 * Undefined if the webhook was deleted meanwhile.
 */
export async function recordAttempt(
  db: Database,
  id: string,
  { status, error, answer }: Attempt,
  { now, retryAt }: { now: Date; retryAt: Date | null },
): Promise<DeliveryRow | undefined> {
  const state = error === null ? 'delivered' : retryAt ? 'pending' : 'failed'
  const [row] = await db
    .update(webhookDeliveries)
    .set({
      state,
      attempts: sql`${webhookDeliveries.attempts} + 1`,
      nextAttemptAt: state === 'pending' ? retryAt : null,
      lastStatus: status,
      lastError: error,
      lastAnswer: answer,
      ...(state === 'delivered' && { deliveredAt: now }),
    })
    .where(eq(webhookDeliveries.id, id))
    .returning()
  return row
}

/** Whether anything arrived at the webhook since then. */
export async function hasDeliveredSince(
  db: Database,
  webhookId: string,
  since: Date,
): Promise<boolean> {
  const arrived = and(
    eq(webhookDeliveries.webhookId, webhookId),
    eq(webhookDeliveries.state, 'delivered'),
    gte(webhookDeliveries.deliveredAt, since),
  )
  return (await db.$count(webhookDeliveries, arrived)) > 0
}

/** All attempts begin anew, now. */
export async function retryDelivery(db: Database, id: string, now: Date): Promise<DeliveryRow> {
  const [row] = await db
    .update(webhookDeliveries)
    .set({ state: 'pending', attempts: 0, nextAttemptAt: now, deliveredAt: null })
    .where(eq(webhookDeliveries.id, id))
    .returning()
  if (!row) throw new Error(`Delivery ${id} vanished`)
  return row
}

/** Forgets what ended long ago. */
export async function pruneDeliveries(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - KEPT_SECONDS * 1000)
  await db.delete(webhookDeliveries).where(lt(webhookDeliveries.createdAt, limit))
}

export function toDelivery(row: DeliveryRow): WebhookDelivery {
  return {
    id: row.id,
    eventId: row.eventId,
    type: row.kind,
    state: row.state,
    attempts: row.attempts,
    nextAttemptAt: row.nextAttemptAt?.toISOString() ?? null,
    status: row.lastStatus,
    error: row.lastError,
    answer: row.lastAnswer,
    createdAt: row.createdAt.toISOString(),
    deliveredAt: row.deliveredAt?.toISOString() ?? null,
  }
}
