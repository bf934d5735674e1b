import { once } from 'node:events'
import type { Server } from 'node:https'
import type { FastifyInstance } from 'fastify'

/** A port that could not be opened; its message is one sentence for the operator. */
export class ListenError extends Error {
  override name = 'ListenError'
}

const REASONS: Record<string, string> = {
  EADDRINUSE: 'another program has this port; stop it or choose another with STAMPEDE_HTTP',
  EACCES: 'no permission for this port; choose one above 1023, or allow CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'this machine does not have that address; correct STAMPEDE_HTTP',
  ENOTFOUND: 'that name has no address; correct STAMPEDE_HTTP',
}

/** The same over TLS. Returns the port that was opened. Throws ListenError. */
export async function listenTls(
  server: Server,
  { host, port }: { host: string; port: number },
): Promise<number> {
  try {
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (cause) {
    throw listenError('HTTPS', { host, port }, cause)
  }
  const address = server.address()
  return typeof address === 'object' && address ? address.port : port
}

/** Returns the port that was opened. Throws ListenError. */
export async function listen(
  http: FastifyInstance,
  { host, port }: { host: string; port: number },
): Promise<number> {
  try {
    await http.listen({ host, port })
  } catch (cause) {
    throw listenError('HTTP', { host, port }, cause)
  }
  const address = http.server.address()
  return typeof address === 'object' && address ? address.port : port
}

function listenError(
  what: 'HTTP' | 'HTTPS',
  { host, port }: { host: string; port: number },
  cause: unknown,
): ListenError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
  const reason = REASONS[code]?.replace('STAMPEDE_HTTP', `STAMPEDE_${what}`) ?? code
  return new ListenError(`${what} cannot listen on ${host} port ${port}: ${reason}`, { cause })
}
