import { fastifyCookie as cookie } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'

export const SESSION_COOKIE = 'stampede_session'

/** What the browser sent; nobody has looked yet whether it is worth anything. */
export function readSessionCookie({ headers }: FastifyRequest): string | undefined {
  return headers.cookie === undefined ? undefined : cookie.parse(headers.cookie)[SESSION_COOKIE]
}

export function setSessionCookie(reply: FastifyReply, token: string, expires: Date): void {
  void reply.header('set-cookie', serialize(reply.request, token, { expires }))
}

export function clearSessionCookie(reply: FastifyReply): void {
  void reply.header('set-cookie', serialize(reply.request, '', { maxAge: 0 }))
}

/** Secure would keep the browser from sending it at all over the plain HTTP of a LAN. */
function serialize(
  { protocol, headers }: FastifyRequest,
  value: string,
  lifetime: { expires: Date } | { maxAge: number },
): string {
  const secure = protocol === 'https' || headers['x-forwarded-proto'] === 'https'
  const options = { path: '/', httpOnly: true, sameSite: 'strict', secure } as const
  return cookie.serialize(SESSION_COOKIE, value, { ...options, ...lifetime })
}
