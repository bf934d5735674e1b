import { open, type FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { NotFoundError } from './errors.ts'
import { createFreeList } from './free-list.ts'
import { sendPieces } from './send-pieces.ts'

/** Larger costs caches of the processor, smaller calls: an initramfs has tens of megabytes, and a rack boots at once. */
const PIECE_BYTES = 256 * 1024
const buffers = createFreeList(() => Buffer.allocUnsafeSlow(PIECE_BYTES))

/**
 * Sends a file of ours with its length, which firmware needs to know beforehand. Fastify answers HEAD
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
  return await sendPieces(reply, readPieces(handle, size))
}

/**
 * As long as it was when its length was told: a file that grows meanwhile must not overrun it, and one
 * that shrinks must not look complete. While a piece goes out, the next is read already.
 */
async function* readPieces(handle: FileHandle, size: number): AsyncGenerator<Uint8Array> {
  const pair = [buffers.take(), buffers.take()] as const
  const read = async (start: number, turn: number): Promise<Buffer> => {
    const length = Math.min(PIECE_BYTES, size - start)
    const { bytesRead } = await handle.read(pair[turn]!, 0, length, start)
    if (bytesRead === 0) throw new Error(`The file ended at byte ${start} of ${size}`)
    return pair[turn]!.subarray(0, bytesRead)
  }
  let reading = size > 0 ? read(0, 0) : undefined
  try {
    for (let start = 0, turn = 0; reading; turn = 1 - turn) {
      const piece = await reading
      start += piece.length
      reading = start < size ? read(start, 1 - turn) : undefined
      reading?.catch(() => {}) // awaited in its turn, or never if the client leaves
      yield piece
    }
  } finally {
    await reading?.catch(() => {})
    await handle.close()
    for (const buffer of pair) buffers.give(buffer)
  }
}
