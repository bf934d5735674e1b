import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { OpenedDatabase } from '../db/database.ts'
import { EVENTS_CHANNEL } from '../db/events.ts'
import {
  createTestDelivery,
  hasDeliveredSince,
  recordAttempt,
  type DeliveryRow,
} from '../db/webhooks/webhook-deliveries.ts'
import {
  claimWebhook,
  deriveDeliveries,
  disableWebhook,
  findDueDelivery,
  listDueWebhooks,
  setClaim,
  type WebhookRow,
} from '../db/webhooks/webhooks.ts'
import { postMessage } from './webhook-post.ts'
import { retryDelaySeconds } from './webhook-rules.ts'

/** How often retries are looked for, and what a lost notification left. */
const LOOK_MILLISECONDS = 5000
/** Longer than an attempt takes; if this server dies, another one may go on after it. */
const CLAIM_SECONDS = 30
const GONE = 410

export interface WebhookSender extends AsyncDisposable {
  /** There may be something to send. */
  wake(): void
  /** Sends all that is due now, and waits for its end. */
  settle(): Promise<void>
  /** Sends a ping at once and once, whatever the webhook's state. */
  sendTest(webhook: WebhookRow): Promise<DeliveryRow>
}

export interface WebhookOptions {
  database: OpenedDatabase
  log: FastifyBaseLogger
  now: () => Date
}

/**
 * Sends events to webhooks. Everything is in the database: deliveries are derived from the table of
 * events, and a webhook is served by the server that claimed it, one delivery after the other, so
 * that a restart or a second server loses nothing and a slow receiver holds up only itself. A delivery
 * may arrive twice if a server dies between sending and remembering it; `webhook-id` tells.
 */
export async function openWebhookSender({
  database,
  log,
  now,
}: WebhookOptions): Promise<WebhookSender> {
  const { db } = database
  const stop = new AbortController()
  /** What this server is sending for. */
  const working = new Map<string, Promise<void>>()
  let wakeUp = Promise.withResolvers<void>()
  const wake = () => wakeUp.resolve()
  const listening = await database.listen(EVENTS_CHANNEL, wake)

  const claimEnd = () => new Date(now().getTime() + CLAIM_SECONDS * 1000)

  async function look(): Promise<void> {
    while (await deriveDeliveries(db, now()));
    for (const id of await listDueWebhooks(db, now())) {
      if (working.has(id) || stop.signal.aborted) continue
      if (!(await claimWebhook(db, id, now(), claimEnd()))) continue
      const work = serve(id)
        .catch((err: unknown) => log.error({ err, webhook: id }, 'Failed to serve a webhook'))
        .finally(() => {
          working.delete(id)
          wake() // something may have become due since it looked last
        })
      working.set(id, work)
    }
  }

  async function serve(id: string): Promise<void> {
    try {
      for (;;) {
        const due = await findDueDelivery(db, id, now())
        if (!due || stop.signal.aborted) return
        await setClaim(db, id, claimEnd())
        await attempt(due.webhook, due.delivery)
      }
    } catch (err) {
      if (!stop.signal.aborted) throw err // else: it is tried again after the restart
    } finally {
      await setClaim(db, id, null)
    }
  }

  async function attempt(webhook: WebhookRow, delivery: DeliveryRow): Promise<void> {
    const result = await postMessage(delivery, webhook, { now: now(), signal: stop.signal })
    const seconds = retryDelaySeconds(delivery.attempts + 1, Math.random())
    const retryAt =
      seconds === undefined || result.status === GONE
        ? null
        : new Date(now().getTime() + seconds * 1000)
    await recordAttempt(db, delivery.id, result, { now: now(), retryAt })
    if (result.error === null) return
    log.debug({ webhook: webhook.id, delivery: delivery.id, ...result }, 'A delivery failed')
    if (result.status === GONE)
      await disable(webhook, 'the receiver answered 410, which means that it wants no more')
    else if (!retryAt && !(await hasDeliveredSince(db, webhook.id, delivery.createdAt)))
      await disable(webhook, `nothing arrived for a day; the last time: ${result.error}`)
  }

  async function disable({ id }: WebhookRow, reason: string): Promise<void> {
    log.warn({ webhook: id, reason }, 'A webhook was disabled')
    await disableWebhook(db, id, reason)
  }

  async function lookOn(): Promise<void> {
    while (!stop.signal.aborted) {
      wakeUp = Promise.withResolvers()
      await look().catch((err: unknown) => log.error({ err }, 'Failed to look after webhooks'))
      const waited = new AbortController()
      const signal = AbortSignal.any([waited.signal, stop.signal])
      await Promise.race([
        wakeUp.promise,
        sleep(LOOK_MILLISECONDS, undefined, { signal }).catch(() => {}),
      ])
      waited.abort()
    }
  }

  const looking = lookOn()
  return {
    wake,
    async settle() {
      await look()
      await Promise.all(working.values())
    },
    async sendTest(webhook) {
      const timestamp = now().toISOString()
      const data = { message: 'A test of this webhook' }
      const body = JSON.stringify({ type: 'ping', timestamp, data })
      const delivery = await createTestDelivery(db, webhook.id, body, now())
      const result = await postMessage(delivery, webhook, { now: now(), signal: stop.signal })
      const sent = await recordAttempt(db, delivery.id, result, { now: now(), retryAt: null })
      return sent ?? delivery
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await looking
      await Promise.all(working.values())
      await listening[Symbol.asyncDispose]()
    },
  }
}
