import {
  bigint,
  bigserial,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  uuid,
} from 'drizzle-orm/pg-core'
import { moment } from './columns.ts'

/** What happened, and whom it is sent to. */

export const events = pgTable('events', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  kind: text().$type<'machine' | 'run' | 'image' | 'lease' | 'notice'>().notNull(),
  data: jsonb().notNull(),
  at: moment().notNull().defaultNow(),
})

export const webhooks = pgTable('webhooks', {
  id: uuid().primaryKey(),
  url: text().notNull(),
  /** Kinds of events; empty: all. */
  events: jsonb().$type<string[]>().notNull(),
  /** Signs every delivery, so it is kept as it is. */
  secret: text().notNull(),
  enabled: boolean().notNull().default(true),
  /** Why it is not enabled, if we did that ourselves. */
  disabledReason: text(),
  /** Until then one server delivers to it, and no other. */
  claimedUntil: moment(),
  /** The newest event that deliveries were made of. */
  lastEventId: bigint({ mode: 'number' }).notNull(),
  createdAt: moment().notNull(),
})

export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: uuid().primaryKey(),
    webhookId: uuid()
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    eventId: bigint({ mode: 'number' }),
    kind: text().notNull(),
    body: text().notNull(),
    state: text().$type<'pending' | 'delivered' | 'failed'>().notNull(),
    attempts: integer().notNull().default(0),
    nextAttemptAt: moment(),
    lastStatus: integer(),
    lastError: text(),
    /** The beginning of what the receiver answered. */
    lastAnswer: text(),
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    index('webhook_deliveries_due').on(table.state, table.nextAttemptAt),
    index('webhook_deliveries_by_webhook').on(table.webhookId, table.createdAt),
  ],
)
