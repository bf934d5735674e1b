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

/** Returns the port that was opened. Throws ListenError. */
export async function listen(
  http: FastifyInstance,
  { host, port }: { host: string; port: number },
): Promise<number> {
  try {
    await http.listen({ host, port })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
    throw new ListenError(`HTTP cannot listen on ${host} port ${port}: ${REASONS[code] ?? code}`, {
      cause,
    })
  }
  const address = http.server.address()
  return typeof address === 'object' && address ? address.port : port
}
