import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { LoginSchema, PasswordChangeSchema, SessionSchema } from '#protocol/account.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import { changeUser, findUser, type UserRow } from '#server/db/accounts/users.ts'
import { endSession, insertSession } from '#server/db/accounts/web-sessions.ts'
import { settleAccounts, type AccountServices } from './account-services.ts'
import { noteAudit } from '../access/audit.ts'
import { createToken, hashToken } from '../access/auth.ts'
import { NotFoundError, UnprocessableError } from '../http/errors.ts'
import type { Person } from '../access/principal.ts'
import { clearSessionCookie, setSessionCookie } from '../access/session-cookie.ts'
import { signIn, toSession, wrongPassword } from './sign-in.ts'

const tags = ['accounts']
const scope = 'accounts'

/** Signing in and out, and one's own password. */
export function sessionRoutes(services: AccountServices): FastifyPluginAsyncTypebox {
  const { database, passwords, now } = services

  /** The user, if the password is theirs. Throws UnauthorizedError, or 429 after too many. */
  async function authenticate(
    { ip }: FastifyRequest,
    { name, password }: { name: string; password: string },
    found: UserRow | undefined,
  ): Promise<UserRow> {
    const attempt = services.attempts.begin(name, ip)
    const isRight = await passwords.verify(password, found?.passwordHash)
    if (!isRight || !found || found.disabled) throw wrongPassword()
    attempt.succeeded()
    return found
  }

  return async (app) => {
    app.post(
      '/session',
      {
        config: { access: 'public', scope, audit: 'session.create' },
        schema: {
          tags,
          summary: 'Sign in: a cookie for a browser, and the token that its changes must carry',
          body: LoginSchema,
          response: { 200: SessionSchema, 401: ErrorSchema, 429: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.body
        const found = await findUser(database.db, name)
        // A name that nobody has is often a password in the wrong field: not for the audit log.
        const targets = found ? [{ kind: 'user', id: found.name }] : []
        noteAudit(request, { targets, details: undefined })
        const user = await authenticate(request, request.body, found)
        const session = await signIn(services, { request, reply, user })
        noteAudit(request, { actor: { kind: 'user', name: user.name } })
        services.forgetPeople()
        return session
      },
    )

    app.get(
      '/session',
      {
        schema: {
          tags,
          summary: 'Who the caller is',
          response: { 200: SessionSchema, 401: ErrorSchema },
        },
      },
      async (request) => toSession(personOf(request)),
    )

    app.delete(
      '/session',
      {
        config: { access: 'viewer', scope, audit: 'session.delete' },
        schema: {
          tags,
          summary: 'Sign out',
          response: { 204: Type.Null(), 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { via, hash } = personOf(request)
        if (via !== 'cookie' || !hash)
          throw new UnprocessableError(
            'A token has no session to end; revoke it with DELETE /api/tokens/{id}',
            'no-session',
          )
        await endSession(database.db, hash)
        await settleAccounts(services)
        clearSessionCookie(reply)
        return reply.code(204).send(null)
      },
    )

    app.put(
      '/session/password',
      {
        config: { access: 'viewer', scope, audit: 'session.password' },
        schema: {
          tags,
          summary: "Change one's own password, which ends all other sessions",
          body: PasswordChangeSchema,
          response: { 204: Type.Null(), 401: ErrorSchema, 422: ErrorSchema, 429: ErrorSchema },
        },
      },
      async (request, reply) => {
        const person = personOf(request)
        const { current, password } = request.body
        if (person.userId === null)
          throw new UnprocessableError('The admin token has no password; sign in as a user')
        const found = await findUser(database.db, person.name)
        await authenticate(request, { name: person.name, password: current }, found)
        const passwordHash = await passwords.hash(password)
        const changed = await changeUser(database.db, person.name, { passwordHash })
        if (changed.kind !== 'changed') throw new NotFoundError(`There is no user "${person.name}"`)
        if (person.via === 'cookie' && person.csrfToken !== undefined) {
          const token = createToken()
          const { userId, csrfToken } = person
          const session = { hash: hashToken(token), userId, csrfToken, now: now() }
          await insertSession(database.db, session)
          setSessionCookie(reply, token)
        }
        await settleAccounts(services)
        return reply.code(204).send(null)
      },
    )
  }
}

/** Of a route that lets nobody else in. */
export function personOf({ principal }: FastifyRequest): Person {
  if (principal.kind !== 'person') throw new TypeError('This route is for people only')
  return principal
}
