import { randomUUIDv7 } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type, type Static } from 'typebox'
import {
  ApiTokenSchema,
  CreatedApiTokenSchema,
  DEFAULT_TOKEN_DAYS,
  includesRole,
  NewApiTokenSchema,
} from '#protocol/account.ts'
import { UUID_PATTERN } from '#protocol/names.ts'
import { ErrorSchema, listOf } from '#protocol/shapes.ts'
import {
  countLiveTokens,
  findApiTokenById,
  listApiTokens,
  revokeApiToken,
  saveApiToken,
  toApiToken,
  type ApiTokenRow,
} from '#server/db/accounts/api-tokens.ts'
import { settleAccounts, type AccountServices } from './account-services.ts'
import { noteAudit } from '../access/audit.ts'
import { API_TOKEN_PREFIX, createToken, hashToken } from '../access/auth.ts'
import { ConflictError, ForbiddenError, NotFoundError } from '../http/errors.ts'
import { pageOf, pageQuery } from '../http/paging.ts'
import type { Person } from '../access/principal.ts'
import { personOf } from './session-routes.ts'

const Params = Type.Object({ id: Type.String({ pattern: UUID_PATTERN }) })
const DAY_MILLISECONDS = 24 * 3600 * 1000
const MAX_LIVE_TOKENS = 200
const tags = ['accounts']
const scope = 'accounts'

/** For programs. Everybody has their own; admins see all. */
export function tokenRoutes(services: AccountServices): FastifyPluginAsyncTypebox {
  const { database, now } = services
  const { db } = database
  return async (app) => {
    app.get(
      '/tokens',
      {
        schema: {
          tags,
          summary: "List one's own API tokens, an admin all, newest first",
          querystring: Type.Object(pageQuery(UUID_PATTERN)),
          response: { 200: listOf(ApiTokenSchema) },
        },
      },
      async (request) => {
        const { role, userId } = personOf(request)
        const owner = role === 'admin' ? 'all' : { userId }
        return listApiTokens(db, owner, pageOf(request.query))
      },
    )

    app.post(
      '/tokens',
      {
        config: { access: 'viewer', scope, audit: 'token.create', idempotency: 'secret' },
        schema: {
          tags,
          summary: 'Make an API token that may do no more than its maker; shown this once',
          body: NewApiTokenSchema,
          response: { 201: CreatedApiTokenSchema, 403: ErrorSchema, 409: ErrorSchema },
        },
      },
      async (request, reply) => {
        const person = personOf(request)
        const { userId } = person
        const grant = grantOf(person, request.body, now())
        if ((await countLiveTokens(db, userId, now())) >= MAX_LIVE_TOKENS)
          throw new ConflictError(
            `There are ${MAX_LIVE_TOKENS} tokens already; revoke those that nothing uses`,
            'too-many-tokens',
          )
        const secret = `${API_TOKEN_PREFIX}${createToken()}`
        const id = randomUUIDv7()
        const { name } = request.body
        const hash = hashToken(secret)
        await saveApiToken(db, { id, hash, name, userId, ...grant, createdAt: now() })
        await settleAccounts(services)
        const token = toApiToken((await findApiTokenById(db, id))!)
        noteAudit(request, { targets: [{ kind: 'token', id }] })
        return reply.code(201).header('cache-control', 'no-store').send({ token, secret })
      },
    )

    app.delete(
      '/tokens/:id',
      {
        config: { access: 'viewer', scope, audit: 'token.revoke' },
        schema: {
          tags,
          summary: 'Revoke an API token',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        const token = await findApiTokenById(db, id)
        if (!token || !mayRevoke(personOf(request), token))
          throw new NotFoundError(`There is no token ${id} of yours`)
        await revokeApiToken(db, id, now())
        await settleAccounts(services)
        return reply.code(204).send(null)
      },
    )
  }
}

/** One's own; a token that has no owner, only itself. */
function mayRevoke({ role, userId, token }: Person, asked: ApiTokenRow): boolean {
  if (role === 'admin' || token?.id === asked.id) return true
  return userId !== null && asked.userId === userId
}

/** Never more than its maker may, nor, if that is a token, for longer. Throws ForbiddenError. */
function grantOf(maker: Person, asked: Static<typeof NewApiTokenSchema>, now: Date) {
  const role = asked.role ?? maker.role
  if (!includesRole(maker.role, role))
    throw new ForbiddenError(`You are ${maker.role} and cannot make a token that is ${role}`)
  const scopes = asked.scopes === undefined ? maker.scopes : asked.scopes
  if (maker.scopes && !scopes?.every((name) => maker.scopes!.includes(name)))
    throw new ForbiddenError(
      `A token with the scopes ${maker.scopes.join(', ')} cannot make one that may more`,
      'scope',
    )
  return { role, scopes, expiresAt: expiryOf(maker, asked.expiresInDays, now) }
}

function expiryOf({ via, expiresAt }: Person, days: number | null | undefined, now: Date) {
  const asked =
    days === null ? null : new Date(now.getTime() + (days ?? DEFAULT_TOKEN_DAYS) * DAY_MILLISECONDS)
  if (via !== 'token' || !expiresAt) return asked
  return asked && asked < expiresAt ? asked : expiresAt
}
