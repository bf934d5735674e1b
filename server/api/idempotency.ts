import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import {
  keepAnswer,
  releaseKey,
  reserveKey,
  type IdempotencyKey,
  type KeptAnswer,
} from '#server/db/idempotency.ts'
import { BadRequestError, ConflictError, UnprocessableError } from './http/errors.ts'
import { canonicalJson } from './http/etag.ts'
import { accountKey } from './access/principal.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Of a POST. `secret`: its answer is shown once, and never kept; `none`: takes no key. Uploads take
     * none either, since nobody wants to hash their bodies twice.
     */
    idempotency?: 'secret' | 'none'
  }
  interface FastifyRequest {
    idempotencyKey?: IdempotencyKey
  }
}

const HEADER = 'idempotency-key'
const REPLAYED_HEADER = 'idempotent-replayed'
/** A UUID, or what else a program makes up; also as the quoted string that the draft asks for. */
const KEY_PATTERN = /^("?)([\x21\x23-\x5b\x5d-\x7e]{1,255})\1$/
/** Headers of an answer that are sent again with it. */
const KEPT_HEADERS = ['content-type', 'location', 'etag']
const RETRY_AFTER_SECONDS = 1

/** Whether a route takes the header Idempotency-Key: POSTs of /api by somebody with an account. */
export function takesIdempotencyKey({
  method,
  url,
  config,
  schema,
}: Pick<RouteOptions, 'method' | 'url' | 'config' | 'schema'>): boolean {
  return (
    [method].flat().includes('POST') &&
    url.startsWith('/api/') &&
    config?.access !== 'public' &&
    config?.idempotency !== 'none' &&
    schema?.consumes === undefined
  )
}

/**
 * A POST that is sent again with the same Idempotency-Key does nothing twice and gets the same answer
 * (draft-ietf-httpapi-idempotency-key-header-07). Only answers of success are kept: a refused
 * request did nothing, so its key is free again. Call it after `installAuth`, before any route.
 */
export function installIdempotency(
  app: FastifyInstance,
  { db, now }: { db: Database; now: () => Date },
): void {
  app.decorateRequest('idempotencyKey', undefined)
  app.addHook('onRoute', (route) => {
    if (!takesIdempotencyKey(route)) return
    route.preHandler = [route.preHandler ?? [], reserve].flat()
    route.onSend = [route.onSend ?? [], settle].flat()
  })

  async function reserve(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const id = keyOf(request)
    if (!id) return undefined
    const reservation = await reserveKey(db, id, hashRequest(request), now())
    switch (reservation.kind) {
      case 'reserved':
        request.idempotencyKey = id
        return undefined
      case 'answered':
        return replay(reply, id, reservation.answer)
      case 'in-flight':
        void reply.header('retry-after', RETRY_AFTER_SECONDS)
        throw new ConflictError(
          `The first request with Idempotency-Key ${id.key} is still being answered; try again in a moment`,
          'idempotency-in-flight',
        )
      case 'other-request':
        throw new UnprocessableError(
          `Idempotency-Key ${id.key} was used for another request; take a new key for this one`,
          'idempotency-key-reused',
        )
    }
  }

  async function settle(request: FastifyRequest, reply: FastifyReply, payload: unknown) {
    const id = request.idempotencyKey
    if (!id) return payload
    delete request.idempotencyKey
    try {
      const isKept = reply.statusCode < 300 && (typeof payload === 'string' || !payload)
      if (isKept) await keepAnswer(db, id, answerOf(request, reply, payload as string | null))
      else await releaseKey(db, id)
    } catch (err) {
      // What was done is done: the caller gets its answer, and the key its time-out.
      request.log.error({ err }, 'The answer to an Idempotency-Key was not kept')
    }
    return payload
  }
}

function keyOf({ headers, principal }: FastifyRequest): IdempotencyKey | undefined {
  const text = headers[HEADER]
  if (text === undefined || principal.kind !== 'person') return undefined
  const key = KEY_PATTERN.exec(String(text))?.[2]
  if (key === undefined)
    throw new BadRequestError(
      'Idempotency-Key must be 1 to 255 visible characters, such as a UUID',
      'bad-idempotency-key',
    )
  return { principal: accountKey(principal), key }
}

function hashRequest({ method, url, body }: FastifyRequest): Sha256 {
  const text = canonicalJson([method, url, body ?? null])
  return parseSha256(createHash('sha256').update(text).digest('hex'))
}

function answerOf(
  { routeOptions }: FastifyRequest,
  reply: FastifyReply,
  payload: string | null | undefined,
): KeptAnswer {
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = reply.getHeader(name)
    return value === undefined ? [] : [[name, String(value)] as const]
  })
  const isSecret = routeOptions.config.idempotency === 'secret'
  return {
    status: reply.statusCode,
    headers: Object.fromEntries(headers),
    body: isSecret ? null : (payload ?? ''),
  }
}

function replay(reply: FastifyReply, { key }: IdempotencyKey, answer: KeptAnswer): FastifyReply {
  if (answer.body === null)
    throw new ConflictError(
      `The request with Idempotency-Key ${key} succeeded already (status ${answer.status}), but its answer held a secret that is shown once; list what it made, remove it and begin anew with another key`,
      'idempotency-secret',
    )
  return reply
    .code(answer.status)
    .headers({ ...answer.headers, [REPLAYED_HEADER]: 'true' })
    .serializer((text: string) => text)
    .send(answer.body)
}
