import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { UUID_PATTERN } from '#protocol/names.ts'
import { ErrorSchema, listOf } from '#protocol/shapes.ts'
import {
  CreatedWebhookSchema,
  DELIVERY_STATES,
  WebhookDeliverySchema,
  WebhookPatchSchema,
  WebhookRequestSchema,
  WebhookSchema,
} from '#protocol/webhook.ts'
import type { Database } from '#server/db/database.ts'
import {
  findDelivery,
  listDeliveries,
  retryDelivery,
  toDelivery,
  type DeliveryRow,
} from '#server/db/webhooks/webhook-deliveries.ts'
import {
  createWebhook,
  deleteWebhook,
  findWebhook,
  listWebhooks,
  MAX_WEBHOOKS,
  toWebhook,
  updateWebhook,
  type WebhookRow,
} from '#server/db/webhooks/webhooks.ts'
import { ConflictError, NotFoundError, UnprocessableError } from '../http/errors.ts'
import { entityTag, ifMatch, sendTagged } from '../http/etag.ts'
import { pageOf, pageQuery } from '../http/paging.ts'

export interface WebhookRoutesOptions {
  db: Database
  now: () => Date
  sender: {
    wake(): void
    sendTest(webhook: WebhookRow): Promise<DeliveryRow>
  }
}

const Id = Type.String({ pattern: UUID_PATTERN })
const Params = Type.Object({ id: Id })
const DeliveryParams = Type.Object({ id: Id, delivery: Id })
const tags = ['webhooks']
/** For admins alone, reading too: an address may hold what only its owner should know. */
const READ = { access: 'admin' } as const
const CHANGE = { access: 'admin', scope: 'settings' } as const

export function webhookRoutes(options: WebhookRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    await app.register(hookRoutes(options))
    await app.register(deliveryRoutes(options))
  }
}

function hookRoutes({ db, now }: WebhookRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/webhooks',
      {
        config: READ,
        schema: {
          tags,
          summary: 'List webhooks, oldest first',
          response: { 200: listOf(WebhookSchema) },
        },
      },
      async () => ({ items: (await listWebhooks(db)).map(toWebhook), next: null }),
    )

    app.post(
      '/webhooks',
      {
        config: { ...CHANGE, audit: 'webhook.create', idempotency: 'secret' },
        schema: {
          tags,
          summary: 'Have events posted to an address; the answer alone has the key that signs',
          description:
            'Signed as Standard Webhooks: `webhook-signature` is `v1,` and the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` in base64; the key is what follows `whsec_`, decoded. A receiver has 10 seconds to answer 2xx; else it is tried again, less and less often, for about a day. The server posts to whatever address it can reach, its own network included, so only admins may choose one; redirects are not followed.',
          body: WebhookRequestSchema,
          response: { 201: CreatedWebhookSchema, 422: ErrorSchema },
        },
      },
      async ({ body }, reply) => {
        checkUrl(body.url)
        const row = await createWebhook(db, body, now())
        if (!row)
          throw new UnprocessableError(
            `There are ${MAX_WEBHOOKS} webhooks already; delete one first`,
            'too-many-webhooks',
          )
        return reply
          .code(201)
          .headers({ location: `/api/webhooks/${row.id}`, etag: tagOf(row) })
          .send({ ...toWebhook(row), secret: row.secret })
      },
    )

    app.get(
      '/webhooks/:id',
      {
        config: { ...READ, tagged: true },
        schema: {
          tags,
          summary: 'Read a webhook',
          params: Params,
          response: { 200: WebhookSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const row = await getWebhook(db, request.params.id)
        return sendTagged(request, reply, tagOf(row), toWebhook(row))
      },
    )

    app.patch(
      '/webhooks/:id',
      {
        config: { ...CHANGE, audit: 'webhook.update', tagged: true },
        schema: {
          tags,
          summary: 'Change a webhook',
          params: Params,
          body: WebhookPatchSchema,
          response: { 200: WebhookSchema, 404: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        if (request.body.url !== undefined) checkUrl(request.body.url)
        const row = await updateWebhook(db, id, request.body, ifMatch(request, tagOf))
        if (!row) throw unknownWebhook(id)
        return reply.header('etag', tagOf(row)).send(toWebhook(row))
      },
    )

    app.delete(
      '/webhooks/:id',
      {
        config: { ...CHANGE, audit: 'webhook.delete', tagged: true },
        schema: {
          tags,
          summary: 'Delete a webhook with its deliveries',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        if (!(await deleteWebhook(db, id, ifMatch(request, tagOf)))) throw unknownWebhook(id)
        return reply.code(204).send(null)
      },
    )
  }
}

function deliveryRoutes({ db, now, sender }: WebhookRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/webhooks/:id/test',
      {
        config: { ...CHANGE, audit: 'webhook.test' },
        schema: {
          tags,
          summary: 'Send a ping now, once, and tell what came of it',
          params: Params,
          response: { 200: WebhookDeliverySchema, 404: ErrorSchema },
        },
      },
      async ({ params }) => toDelivery(await sender.sendTest(await getWebhook(db, params.id))),
    )

    app.get(
      '/webhooks/:id/deliveries',
      {
        config: READ,
        schema: {
          tags,
          summary: 'List deliveries of the last week, newest first',
          params: Params,
          querystring: Type.Object({
            state: Type.Optional(Type.Enum(DELIVERY_STATES)),
            ...pageQuery(UUID_PATTERN),
          }),
          response: { 200: listOf(WebhookDeliverySchema), 404: ErrorSchema },
        },
      },
      async ({ params, query }) => {
        const { id } = await getWebhook(db, params.id)
        return listDeliveries(db, id, { state: query.state }, pageOf(query))
      },
    )

    app.post(
      '/webhooks/:id/deliveries/:delivery/retry',
      {
        config: { ...CHANGE, audit: 'webhook.retry' },
        schema: {
          tags,
          summary: 'Send a delivery once more, with all its attempts',
          params: DeliveryParams,
          response: { 200: WebhookDeliverySchema, 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async ({ params }) => {
        const webhook = await getWebhook(db, params.id)
        const delivery = await findDelivery(db, webhook.id, params.delivery)
        if (!delivery)
          throw new NotFoundError(`Webhook ${webhook.id} has no delivery ${params.delivery}`)
        if (!webhook.enabled)
          throw new ConflictError(
            `Webhook ${webhook.id} is disabled; enable it first`,
            'webhook-disabled',
          )
        const retried = await retryDelivery(db, delivery.id, now())
        sender.wake()
        return toDelivery(retried)
      },
    )
  }
}

/** Over what an operator edits. */
function tagOf({ url, events, enabled }: WebhookRow): string {
  return entityTag({ url, events, enabled })
}

async function getWebhook(db: Database, id: string): Promise<WebhookRow> {
  const row = await findWebhook(db, id)
  if (!row) throw unknownWebhook(id)
  return row
}

function unknownWebhook(id: string): NotFoundError {
  return new NotFoundError(`There is no webhook ${id}`)
}

/** The schema knows how an address begins; the rest of the world calls with `fetch`. */
function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || url.hostname === '')
    throw new UnprocessableError('The url is no address that one could post to', 'bad-url')
  if (url.username !== '' || url.password !== '')
    throw new UnprocessableError(
      'The url must not hold a name or password: receivers check the signature instead',
      'bad-url',
    )
}
