import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  NewUserSchema,
  USER_NAME_PATTERN,
  UserName,
  UserPatchSchema,
  UserSchema,
} from '#protocol/account.ts'
import { ErrorSchema, listOf } from '#protocol/shapes.ts'
import {
  changeUser,
  createUser,
  deleteUser,
  findUser,
  listUsers,
  toUser,
  type UserChanged,
  type UserRow,
} from '#server/db/accounts/users.ts'
import { settleAccounts, type AccountServices } from './account-services.ts'
import { ConflictError, NotFoundError } from '../http/errors.ts'
import { entityTag, ifMatch, sendTagged } from '../http/etag.ts'
import { pageOf, pageQuery } from '../http/paging.ts'

const Params = Type.Object({ name: UserName })
const tags = ['accounts']
const access = 'admin'
const scope = 'accounts'

/** Who may sign in, for admins. */
export function userRoutes(services: AccountServices): FastifyPluginAsyncTypebox {
  const { database, passwords, now } = services
  const { db } = database
  return async (app) => {
    app.get(
      '/users',
      {
        config: { access },
        schema: {
          tags,
          summary: 'List users by name',
          querystring: Type.Object(pageQuery(USER_NAME_PATTERN)),
          response: { 200: listOf(UserSchema) },
        },
      },
      ({ query }) => listUsers(db, pageOf(query)),
    )

    app.get(
      '/users/:name',
      {
        config: { access, tagged: true },
        schema: {
          tags,
          summary: 'Read a user',
          params: Params,
          response: { 200: UserSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const user = await findUser(db, name)
        if (!user) throw unknownUser(name)
        return sendTagged(request, reply, tagOf(user), toUser(user))
      },
    )

    app.post(
      '/users',
      {
        // A key would be kept with a hash of the password that is quickly guessed; a name is a key too.
        config: { access, scope, audit: 'user.create', idempotency: 'none' },
        schema: {
          tags,
          summary: 'Make a user',
          body: NewUserSchema,
          response: { 201: UserSchema, 409: ErrorSchema },
        },
      },
      async ({ body: { name, role, password } }, reply) => {
        const passwordHash = await passwords.hash(password)
        const user = await createUser(db, { name, role, passwordHash }, now())
        if (!user)
          throw new ConflictError(
            `There is a user "${name}" already, in whatever case`,
            'user-exists',
          )
        await settleAccounts(services)
        return reply.code(201).header('location', `/api/users/${name}`).send(toUser(user))
      },
    )

    app.patch(
      '/users/:name',
      {
        config: { access, scope, audit: 'user.update', tagged: true },
        schema: {
          tags,
          summary: 'Change a role or password, or disable a user; each ends their sessions',
          params: Params,
          body: UserPatchSchema,
          response: { 200: UserSchema, 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const { role, disabled, password } = request.body
        const passwordHash = password === undefined ? undefined : await passwords.hash(password)
        const check = ifMatch(request, tagOf)
        const changed = await changeUser(db, name, { role, disabled, passwordHash }, check)
        const user = changedUser(changed, name)
        await settleAccounts(services)
        return sendTagged(request, reply, tagOf(user), toUser(user))
      },
    )

    app.delete(
      '/users/:name',
      {
        config: { access, scope, audit: 'user.delete', tagged: true },
        schema: {
          tags,
          summary: 'Delete a user with their sessions and tokens',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        changedUser(await deleteUser(db, name, ifMatch(request, tagOf)), name)
        await settleAccounts(services)
        return reply.code(204).send(null)
      },
    )
  }
}

/** A new password makes a new one too, and tells nothing of it. */
function tagOf({ id, name, role, disabled, passwordHash }: UserRow): string {
  return entityTag({ id, name, role, disabled, passwordHash })
}

function changedUser(changed: UserChanged, name: string): UserRow {
  switch (changed.kind) {
    case 'changed':
      return changed.user
    case 'missing':
      throw unknownUser(name)
    case 'last-admin':
      throw new ConflictError(
        `User "${name}" is the last admin that can sign in; make another user admin first`,
        'last-admin',
      )
  }
}

function unknownUser(name: string): NotFoundError {
  return new NotFoundError(`There is no user "${name}"`)
}
