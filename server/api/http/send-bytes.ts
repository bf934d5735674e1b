import type { FastifyReply } from 'fastify'

/**
 * Answers with bytes in memory that is used again after `release`, past Fastify's hooks for payloads:
 * none of them has anything to do with a chunk, and going through them takes as long as the rest.
 */
export function sendBytes(
  reply: FastifyReply,
  bytes: Uint8Array,
  release: () => void,
): FastifyReply {
  const { raw } = reply
  // Whoever went away meanwhile closes nothing any more.
  if (raw.closed) {
    release()
    return reply.hijack()
  }
  raw.once('close', release)
  void reply.header('content-length', bytes.length)
  reply.hijack()
  raw.writeHead(reply.statusCode, reply.getHeaders() as Record<string, string | number>)
  raw.end(bytes)
  return reply
}
