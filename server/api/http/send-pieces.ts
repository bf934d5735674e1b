import type { ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'

/**
 * Answers with bytes that come piece by piece, in memory that their source uses again: the next is
 * asked for once the kernel has taken the last one, which then has megabytes to send. Length and
 * status are set already. What fails before the first piece is an answer like any other error; after it
 * the connection is cut, so that what went out does not look complete.
 */
export async function sendPieces(
  reply: FastifyReply,
  pieces: AsyncGenerator<Uint8Array>,
): Promise<FastifyReply> {
  const first = await pieces.next()
  reply.hijack()
  const { raw } = reply
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) raw.setHeader(name, value)
  raw.writeHead(reply.statusCode)
  void writeAll(reply, first, pieces).catch((err: unknown) => {
    raw.destroy()
    reply.request.log.error({ err }, 'An answer was cut off')
  })
  return reply
}

async function writeAll(
  { raw, request }: FastifyReply,
  first: IteratorResult<Uint8Array>,
  pieces: AsyncGenerator<Uint8Array>,
): Promise<void> {
  const { socket } = request.raw
  const writer = createWriter(raw, socket.destroyed)
  // A callback of an answer that waits for another one's end is never called once they are gone.
  socket.once('close', writer.stop)
  try {
    let next = first
    while (!next.done && (await writer.write(next.value))) next = await pieces.next()
    if (next.done) raw.end()
  } finally {
    socket.off('close', writer.stop)
    await pieces.return(undefined)
  }
}

function createWriter(raw: ServerResponse, isStopped: boolean) {
  let settle: ((isTaken: boolean) => void) | undefined
  return {
    /** Whether somebody is still there; resolves when the bytes are nobody's any more. */
    write: (bytes: Uint8Array): Promise<boolean> =>
      new Promise((resolve) => {
        if (isStopped) return resolve(false)
        settle = resolve
        raw.write(bytes, (err) => resolve(!err))
      }),
    stop: (): void => {
      isStopped = true
      settle?.(false)
    },
  }
}
