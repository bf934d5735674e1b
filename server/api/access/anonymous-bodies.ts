import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'

export interface AnonymousBodiesOptions {
  /** Of all that are being received at once. */
  mostBytes: number
  /** Of one that does not say how long it is. */
  bodyBytes: number
}

/**
 * Whoever signs in or says hello is known only when their body is there, and until then it is kept in
 * memory. So that nobody fills that with bodies that never end, the oldest is cut when all together
 * claim too much: those of real callers are there within moments.
 */
export function limitAnonymousBodies(
  app: FastifyInstance,
  { mostBytes, bodyBytes }: AnonymousBodiesOptions,
): void {
  /** The oldest first. */
  const receiving = new Map<IncomingMessage, number>()
  let bytes = 0
  let isFull = false

  function leave(body: IncomingMessage): void {
    bytes -= receiving.get(body) ?? 0
    receiving.delete(body)
  }

  app.addHook('preParsing', (request, _reply, _payload, done) => {
    const { raw, principal } = request
    // Uploads by a link are not kept in memory, and no route but those takes anything but JSON.
    const isKept = /^application\/json\b/i.test(raw.headers['content-type'] ?? '')
    if (principal.kind !== 'none' || !isKept || raw.complete) return done()
    const claimed = Math.min(bodyBytes, Number(raw.headers['content-length'] ?? bodyBytes))
    receiving.set(raw, claimed)
    bytes += claimed
    for (const event of ['end', 'close']) raw.once(event, () => leave(raw))
    const wasFull = isFull
    isFull = bytes > mostBytes
    for (const oldest of receiving.keys()) {
      if (bytes <= mostBytes) break
      leave(oldest)
      // Once, not for each of a flood.
      const { remoteAddress } = oldest.socket
      request.log[wasFull ? 'debug' : 'warn']({ remoteAddress }, 'Cut a body that did not end')
      oldest.destroy()
    }
    done()
  })
}
