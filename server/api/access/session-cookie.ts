import { fastifyCookie } from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SESSION_MAX_SECONDS } from '#server/db/accounts/web-sessions.ts'

export const SESSION_COOKIE = 'stampede_session'
/**
 * Over TLS. A name of its own, because a browser keeps plain HTTP from replacing a Secure cookie, and
 * signing in there would seem to fail; the prefix keeps other hosts of the domain from setting it
 * (RFC 6265bis, 4.1.3.2).
 */
export const SECURE_SESSION_COOKIE = '__Host-stampede_session'

/** Only on demand: most routes take no cookie. */
export function installCookies(app: FastifyInstance): void {
  void app.register(fastifyCookie, { hook: false })
}

/** What the browser sent; nobody has looked yet whether it is worth anything. */
export function readSessionCookie({ headers, server }: FastifyRequest): string | undefined {
  if (headers.cookie === undefined) return undefined
  const cookies = server.parseCookie(headers.cookie)
  return cookies[SECURE_SESSION_COOKIE] ?? cookies[SESSION_COOKIE]
}

/** The server decides when it is over; this only keeps it from lying around for ever. */
export function setSessionCookie(reply: FastifyReply, token: string): void {
  void reply.header('set-cookie', serialize(reply.request, token, SESSION_MAX_SECONDS))
}

export function clearSessionCookie(reply: FastifyReply): void {
  void reply.header('set-cookie', serialize(reply.request, '', 0))
}

/** Secure would keep the browser from sending it at all over the plain HTTP of a LAN. */
function serialize(
  { protocol, headers, server }: FastifyRequest,
  value: string,
  maxAge: number,
): string {
  const secure = protocol === 'https' || headers['x-forwarded-proto'] === 'https'
  const options = { path: '/', httpOnly: true, sameSite: 'strict', secure, maxAge } as const
  return server.serializeCookie(secure ? SECURE_SESSION_COOKIE : SESSION_COOKIE, value, options)
}
