import { Type, type Static } from 'typebox'
import { Timestamp } from './shapes.ts'

/**
 * What happens, sent to other programs, signed as Standard Webhooks (standardwebhooks.com):
 * headers `webhook-id`, `webhook-timestamp` and `webhook-signature`.
 */

export const WEBHOOK_EVENTS = ['machine', 'run', 'image', 'lease', 'notice'] as const
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]

const operatorFields = {
  /** Where deliveries are posted to; only admins may choose it, since this server can reach it. */
  url: Type.String({
    pattern: '^https?://[^\\s]+$',
    maxLength: 2048,
    examples: ['https://ci.example.com/hooks/stampede'],
  }),
  /** Kinds of events; empty: all. */
  events: Type.Array(Type.Enum(WEBHOOK_EVENTS), { uniqueItems: true }),
  enabled: Type.Boolean(),
}

export const WebhookSchema = Type.Object({
  id: Type.String(),
  ...operatorFields,
  /** Why the server itself disabled it: nobody answered for a day, or the receiver said 410. */
  disabledReason: Type.Optional(Type.String()),
  createdAt: Timestamp,
})
export type Webhook = Static<typeof WebhookSchema>

/** The answer to POST, and to nothing else, has the key that signs. */
export const CreatedWebhookSchema = Type.Object({
  ...WebhookSchema.properties,
  secret: Type.String({ examples: ['whsec_…'] }),
})
export type CreatedWebhook = Static<typeof CreatedWebhookSchema>

export const WebhookRequestSchema = Type.Object(
  {
    url: operatorFields.url,
    events: Type.Optional(operatorFields.events),
    enabled: Type.Optional(operatorFields.enabled),
  },
  { additionalProperties: false },
)
export type WebhookRequest = Static<typeof WebhookRequestSchema>

/** Enabled again, it gets what was pending and what happens from then on, nothing in between. */
export const WebhookPatchSchema = Type.Partial(WebhookRequestSchema, {
  additionalProperties: false,
})
export type WebhookPatch = Static<typeof WebhookPatchSchema>

export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const

export const WebhookDeliverySchema = Type.Object({
  /** Also in the header `webhook-id`, the same in every attempt: receivers know repetitions by it. */
  id: Type.String(),
  /** Of `GET /api/events`; null: a test. */
  eventId: Type.Union([Type.Integer(), Type.Null()]),
  type: Type.String({ examples: ['run'] }),
  state: Type.Enum(DELIVERY_STATES),
  attempts: Type.Integer({ minimum: 0 }),
  nextAttemptAt: Type.Union([Timestamp, Type.Null()]),
  /** Of the last attempt; null: no answer came. */
  status: Type.Union([Type.Integer(), Type.Null()]),
  error: Type.Union([Type.String(), Type.Null()]),
  /** The beginning of what the receiver answered. */
  answer: Type.Union([Type.String(), Type.Null()]),
  createdAt: Timestamp,
  deliveredAt: Type.Union([Timestamp, Type.Null()]),
})
export type WebhookDelivery = Static<typeof WebhookDeliverySchema>
