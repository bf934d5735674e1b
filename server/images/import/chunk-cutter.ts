import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { isZero } from '../codec/zero-content.ts'

/** Disk content as a stream: bytes, or a number of zeros that nobody needs to write out. */
export type Piece = Uint8Array | { zeroBytes: number }

/** Undefined content: a chunk of zeros. */
export type Cut = { index: number; content: Uint8Array | undefined; contentBytes: number }

/**
 * Cuts a stream at every MiB. Contents lie in buffers that come from `take`; whoever gets a cut
 * gives its buffer back when done. Chunks of zeros use none, and whole ones out of `zeroBytes` cost
 * nothing at all.
 */
export async function* cutChunks(
  pieces: AsyncIterable<Piece>,
  take: () => Promise<Uint8Array>,
): AsyncGenerator<Cut> {
  let index = 0
  let buffer: Uint8Array | undefined
  /** Bytes of the chunk being filled; without a buffer they are all zeros. */
  let filled = 0

  function cut(): Cut {
    const content = buffer?.subarray(0, filled)
    const isEmpty = !content || isZero(content)
    const result = { index, content: isEmpty ? undefined : content, contentBytes: filled }
    index++
    filled = 0
    if (!isEmpty) buffer = undefined
    return result
  }

  for await (const piece of pieces) {
    let rest = 'zeroBytes' in piece ? piece.zeroBytes : piece.length
    while (rest > 0) {
      const count = Math.min(rest, CHUNK_BYTES - filled)
      if ('zeroBytes' in piece) {
        if (filled > 0) buffer?.fill(0, filled, filled + count)
        else if (count === CHUNK_BYTES) {
          yield { index: index++, content: undefined, contentBytes: CHUNK_BYTES }
          rest -= count
          continue
        } else (buffer ??= await take()).fill(0, 0, count)
      } else {
        buffer ??= await take()
        buffer.set(piece.subarray(piece.length - rest, piece.length - rest + count), filled)
      }
      filled += count
      rest -= count
      if (filled === CHUNK_BYTES) yield cut()
    }
  }
  if (filled > 0) yield cut()
}
