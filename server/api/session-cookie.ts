import { fastifyCookie as cookie } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SESSION_MAX_SECONDS } from '#server/db/web-sessions.ts'

export const SESSION_COOKIE = 'stampede_session'

/** What the browser sent; nobody has looked yet whether it is worth anything. */
export function readSessionCookie({ headers }: FastifyRequest): string | undefined {
  return headers.cookie === undefined ? undefined : cookie.parse(headers.cookie)[SESSION_COOKIE]
}

/** The server decides when it is over; this only keeps it from lying around for ever. */
export function setSessionCookie(reply: FastifyReply, token: string): void {
  void reply.header('set-cookie', serialize(reply.request, token, SESSION_MAX_SECONDS))
}

export function clearSessionCookie(reply: FastifyReply): void {
  void reply.header('set-cookie', serialize(reply.request, '', 0))
}

/** Secure would keep the browser from sending it at all over the plain HTTP of a LAN. */
function serialize({ protocol, headers }: FastifyRequest, value: string, maxAge: number): string {
  const secure = protocol === 'https' || headers['x-forwarded-proto'] === 'https'
  const options = { path: '/', httpOnly: true, sameSite: 'strict', secure, maxAge } as const
  return cookie.serialize(SESSION_COOKIE, value, options)
}
