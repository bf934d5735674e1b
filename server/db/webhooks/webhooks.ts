import { randomBytes, randomUUID } from 'node:crypto'
import { and, asc, eq, gt, isNull, lt, lte, max, or, sql } from 'drizzle-orm'
import type { Webhook, WebhookPatch, WebhookRequest } from '#protocol/webhook.ts'
import type { Database, Transaction } from '../database.ts'
import { lastEventId, recordEvent } from '../events.ts'
import { events, webhookDeliveries, webhooks } from '../schema.ts'

export type WebhookRow = typeof webhooks.$inferSelect

/** Each has a sender of its own, so that a slow one holds up nobody. */
export const MAX_WEBHOOKS = 32
const SECRET_BYTES = 32
/** Events that are read in one transaction. */
const BATCH_EVENTS = 200

/** Undefined if there are too many already. */
export async function createWebhook(
  db: Database,
  { url, events: kinds = [], enabled = true }: WebhookRequest,
  now: Date,
): Promise<WebhookRow | undefined> {
  if ((await db.$count(webhooks)) >= MAX_WEBHOOKS) return undefined
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
  const [row] = await db
    .insert(webhooks)
    .values({
      id: randomUUID(),
      url,
      events: kinds,
      enabled,
      secret,
      lastEventId: await lastEventId(db),
      createdAt: now,
    })
    .returning()
  return row
}

/** Oldest first. */
export async function listWebhooks(db: Database): Promise<WebhookRow[]> {
  return db.select().from(webhooks).orderBy(asc(webhooks.createdAt), asc(webhooks.id))
}

export async function findWebhook(db: Database, id: string): Promise<WebhookRow | undefined> {
  const [row] = await db.select().from(webhooks).where(eq(webhooks.id, id))
  return row
}

async function lockWebhook(tx: Transaction, id: string): Promise<WebhookRow | undefined> {
  const [row] = await tx.select().from(webhooks).where(eq(webhooks.id, id)).for('update')
  return row
}

/** `check` sees the webhook as it is while nobody else can change it, and throws to leave it so. */
export async function updateWebhook(
  db: Database,
  id: string,
  patch: WebhookPatch,
  check?: (current: WebhookRow | undefined) => void,
): Promise<WebhookRow | undefined> {
  return db.transaction(async (tx) => {
    const current = await lockWebhook(tx, id)
    check?.(current)
    if (!current) return undefined
    const isEnabledAgain = patch.enabled === true && !current.enabled
    const [row] = await tx
      .update(webhooks)
      .set({
        ...patch,
        enabled: patch.enabled ?? current.enabled,
        ...(patch.enabled !== undefined && { disabledReason: null }),
        // What happened while it was off is not sent.
        ...(isEnabledAgain && { lastEventId: await lastEventId(tx) }),
      })
      .where(eq(webhooks.id, id))
      .returning()
    return row
  })
}

/** False if there is none. */
export async function deleteWebhook(
  db: Database,
  id: string,
  check?: (current: WebhookRow | undefined) => void,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const current = await lockWebhook(tx, id)
    check?.(current)
    await tx.delete(webhooks).where(eq(webhooks.id, id))
    return current !== undefined
  })
}

/** Nothing more is tried, and whoever listens to events learns why. */
export async function disableWebhook(db: Database, id: string, reason: string): Promise<void> {
  await db.transaction(async (tx) => {
    const current = await lockWebhook(tx, id)
    if (!current?.enabled) return
    await tx
      .update(webhooks)
      .set({ enabled: false, disabledReason: reason })
      .where(eq(webhooks.id, id))
    const message = `Webhook ${id} was disabled: ${reason}`
    recordEvent(tx, 'notice', { code: 'webhook-disabled', message, webhook: id })
  })
}

/**
 * Makes deliveries of what happened since the last call, for every webhook, each event once and in
 * order: the webhook's place in the events moves in the same transaction. Another server that does
 * the same at this moment is not waited for. Returns whether there is more.
 */
export async function deriveDeliveries(db: Database, now: Date): Promise<boolean> {
  const newest = db.select({ id: max(events.id) }).from(events)
  const behind = and(webhooks.enabled, lt(webhooks.lastEventId, sql`(${newest})`))
  // A look without a lock first: mostly there is nothing to do.
  if ((await db.$count(webhooks, behind)) === 0) return false
  return db.transaction(async (tx) => {
    const rows = await tx.select().from(webhooks).where(behind).for('update', { skipLocked: true })
    let isMore = false
    for (const row of rows) isMore = (await deriveFor(tx, row, now)) || isMore
    return isMore
  })
}

async function deriveFor(tx: Transaction, webhook: WebhookRow, now: Date): Promise<boolean> {
  const batch = await tx
    .select()
    .from(events)
    .where(gt(events.id, webhook.lastEventId))
    .orderBy(asc(events.id))
    .limit(BATCH_EVENTS)
  const wanted = batch.filter(
    ({ kind }) => webhook.events.length === 0 || webhook.events.includes(kind),
  )
  if (wanted.length > 0)
    await tx.insert(webhookDeliveries).values(
      wanted.map(({ id, kind, at, data }) => ({
        id: randomUUID(),
        webhookId: webhook.id,
        eventId: id,
        kind,
        body: JSON.stringify({ type: kind, timestamp: at.toISOString(), data }),
        state: 'pending' as const,
        nextAttemptAt: now,
        createdAt: now,
      })),
    )
  const last = batch.at(-1)
  if (last)
    await tx.update(webhooks).set({ lastEventId: last.id }).where(eq(webhooks.id, webhook.id))
  return batch.length === BATCH_EVENTS
}

function isDue(now: Date) {
  return and(eq(webhookDeliveries.state, 'pending'), lte(webhookDeliveries.nextAttemptAt, now))
}

/** Enabled webhooks that have something to be sent and that no server is sending for. */
export async function listDueWebhooks(db: Database, now: Date): Promise<string[]> {
  const rows = await db
    .selectDistinct({ id: webhooks.id })
    .from(webhooks)
    .innerJoin(webhookDeliveries, eq(webhookDeliveries.webhookId, webhooks.id))
    .where(and(webhooks.enabled, isUnclaimed(now), isDue(now)))
  return rows.map(({ id }) => id)
}

function isUnclaimed(now: Date) {
  return or(isNull(webhooks.claimedUntil), lte(webhooks.claimedUntil, now))
}

/** Whether this server is now the one that delivers to the webhook, until `until` or a release. */
export async function claimWebhook(
  db: Database,
  id: string,
  now: Date,
  until: Date,
): Promise<boolean> {
  const claimed = await db
    .update(webhooks)
    .set({ claimedUntil: until })
    .where(and(eq(webhooks.id, id), webhooks.enabled, isUnclaimed(now)))
    .returning({ id: webhooks.id })
  return claimed.length > 0
}

/** Keeps a claim for longer, or with null gives it up. */
export async function setClaim(db: Database, id: string, until: Date | null): Promise<void> {
  await db.update(webhooks).set({ claimedUntil: until }).where(eq(webhooks.id, id))
}

/** What is to be sent next: due deliveries in the order of their events. */
export async function findDueDelivery(db: Database, webhookId: string, now: Date) {
  const [row] = await db
    .select({ delivery: webhookDeliveries, webhook: webhooks })
    .from(webhookDeliveries)
    .innerJoin(webhooks, eq(webhooks.id, webhookDeliveries.webhookId))
    .where(and(eq(webhookDeliveries.webhookId, webhookId), webhooks.enabled, isDue(now)))
    .orderBy(asc(webhookDeliveries.eventId))
    .limit(1)
  return row
}

export function toWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    url: row.url,
    events: row.events as Webhook['events'],
    enabled: row.enabled,
    ...(row.disabledReason !== null && { disabledReason: row.disabledReason }),
    createdAt: row.createdAt.toISOString(),
  }
}
