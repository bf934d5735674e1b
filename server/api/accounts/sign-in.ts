import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Session } from '#protocol/account.ts'
import type { UserRow } from '#server/db/accounts/users.ts'
import { SESSION_MAX_SECONDS, startSession } from '#server/db/accounts/web-sessions.ts'
import type { AccountServices } from './account-services.ts'
import { createToken, hashToken } from '../access/auth.ts'
import { UnauthorizedError } from '../http/errors.ts'
import type { Person } from '../access/principal.ts'
import { readSessionCookie, setSessionCookie } from '../access/session-cookie.ts'

/**
 * Begins a session under a name of its own: whatever cookie the browser came with is worth nothing
 * afterwards, whoever put it there. Throws UnauthorizedError if the user changed meanwhile.
 */
export async function signIn(
  { database, now }: Pick<AccountServices, 'database' | 'now'>,
  { request, reply, user }: { request: FastifyRequest; reply: FastifyReply; user: UserRow },
): Promise<Session> {
  const token = createToken()
  const earlier = readSessionCookie(request)
  const session = { hash: hashToken(token), userId: user.id, csrfToken: createToken(), now: now() }
  const started = await startSession(database.db, session, {
    passwordHash: user.passwordHash,
    earlierHash: earlier === undefined ? undefined : hashToken(earlier),
  })
  if (!started) throw wrongPassword()
  const expires = new Date(now().getTime() + SESSION_MAX_SECONDS * 1000)
  setSessionCookie(reply, token)
  const { id, name, role } = user
  return {
    user: { id, name, role },
    via: 'cookie',
    csrfToken: session.csrfToken,
    expiresAt: expires.toISOString(),
  }
}

/** One answer for every reason: who guesses learns nothing. */
export function wrongPassword(): UnauthorizedError {
  return new UnauthorizedError('The name or the password is wrong', 'wrong-password')
}

export function toSession({ userId, name, role, via, csrfToken, expiresAt }: Person): Session {
  return {
    user: { id: userId, name, role },
    via,
    ...(csrfToken !== undefined && { csrfToken }),
    expiresAt: expiresAt?.toISOString() ?? null,
  }
}
