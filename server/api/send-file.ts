import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { NotFoundError } from './errors.ts'

/**
 * Streams a file of ours with its length, which firmware needs to know beforehand. Fastify answers HEAD
 * from the same route without a body.
 */
export async function sendFile(
  reply: FastifyReply,
  path: string,
  what: string,
): Promise<FastifyReply> {
  const handle = await open(path).catch((err: unknown) => {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT')
      throw new NotFoundError(`There is no ${what}`)
    throw err
  })
  const { size } = await handle.stat()
  void reply.type('application/octet-stream').header('content-length', size)
  if (reply.request.method === 'HEAD') {
    await handle.close()
    return reply.send(Readable.from([])) // anything but a stream would change the length
  }
  if (size === 0) {
    await handle.close()
    return reply.send('')
  }
  // As long as it was when we told: a file that grows meanwhile must not overrun its length.
  return reply.send(handle.createReadStream({ end: size - 1, highWaterMark: READ_BYTES }))
}

/** Larger reads than Node's 64 KiB: an initramfs has tens of megabytes, and a rack boots at once. */
const READ_BYTES = 256 * 1024
