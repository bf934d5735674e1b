import type { FastifyPluginAsync } from 'fastify'
import type { OpenedDatabase } from '#server/db/database.ts'
import type { AccountServices } from './account-services.ts'
import { createAttempts } from '../access/attempts.ts'
import { auditRoutes } from './audit-routes.ts'
import { adminTokenCheck } from '../access/auth.ts'
import { createPasswords } from './passwords.ts'
import { sessionRoutes } from './session-routes.ts'
import { setupRoutes } from './setup-routes.ts'
import { tokenRoutes } from './token-routes.ts'
import { userRoutes } from './user-routes.ts'

export interface AccountRoutesOptions {
  database: OpenedDatabase
  adminToken: string
  /** Called after an account changed and before the answer says so. */
  forgetPeople: () => void
  now: () => Date
}

/** Users, their sessions and tokens, and the log of what they did. */
export function accountRoutes({
  adminToken,
  ...options
}: AccountRoutesOptions): FastifyPluginAsync {
  const services: AccountServices = {
    ...options,
    passwords: createPasswords(),
    attempts: createAttempts(options.now),
  }
  return async (app) => {
    await app.register(setupRoutes({ ...services, isAdminToken: adminTokenCheck(adminToken) }))
    await app.register(sessionRoutes(services))
    await app.register(userRoutes(services))
    await app.register(tokenRoutes(services))
    await app.register(auditRoutes(options.database))
  }
}
