import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { SessionSchema, SetupSchema } from '#protocol/account.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import { createFirstUser, hasUsers, type UserRow } from '#server/db/accounts/users.ts'
import { settleAccounts, type AccountServices } from './account-services.ts'
import { noteAudit } from '../access/audit.ts'
import { ConflictError, UnauthorizedError } from '../http/errors.ts'
import { signIn } from './sign-in.ts'

const tags = ['accounts']

export interface SetupRoutesOptions extends AccountServices {
  isAdminToken: (token: string) => boolean
}

/** The first user: made by whoever read the admin token where the server printed it. */
export function setupRoutes(options: SetupRoutesOptions): FastifyPluginAsyncTypebox {
  const { database, passwords, attempts, isAdminToken, now } = options
  return async (app) => {
    app.get(
      '/setup',
      {
        config: { access: 'public' },
        schema: {
          tags,
          summary: 'Whether there is no user yet',
          response: { 200: Type.Object({ needsSetup: Type.Boolean() }) },
        },
      },
      async () => ({ needsSetup: !(await hasUsers(database.db)) }),
    )

    app.post(
      '/setup',
      {
        config: { access: 'public', scope: 'accounts', audit: 'setup.create' },
        schema: {
          tags,
          summary: 'Make the first user, an admin, and sign in as it',
          body: SetupSchema,
          response: { 201: SessionSchema, 401: ErrorSchema, 409: ErrorSchema, 429: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { adminToken, name, password } = request.body
        if (await hasUsers(database.db)) throw alreadySetUp()
        const attempt = attempts.begin('setup', request.ip)
        if (!isAdminToken(adminToken))
          throw new UnauthorizedError(
            'That is not the admin token; the server printed it at its first start, and keeps it in "admin-token" in its data folder',
            'wrong-admin-token',
          )
        attempt.succeeded()
        const user = { name, role: 'admin' as const, passwordHash: await passwords.hash(password) }
        const made: UserRow | undefined = await createFirstUser(database.db, user, now())
        if (!made) throw alreadySetUp()
        noteAudit(request, {
          actor: { kind: 'admin-token', name: 'admin' },
          targets: [{ kind: 'user', id: name }],
        })
        const session = await signIn(options, { request, reply, user: made })
        await settleAccounts(options)
        return reply.code(201).send(session)
      },
    )
  }
}

function alreadySetUp(): ConflictError {
  return new ConflictError('There is a user already; sign in instead', 'already-set-up')
}
