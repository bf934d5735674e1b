import { totalmem } from 'node:os'
import { ChunkCorruptError, type ChunkClient } from '../chunk-client.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { Device } from '../disk/device.ts'
import type { Piece } from './image-plan.ts'
import { forEachConcurrently } from './workers.ts'

/** Each holds a chunk three times at most: compressed, inflated, and where the device takes it. */
const WRITERS = totalmem() < 1024 ** 3 ? 8 : 16

export interface WriteTarget {
  device: Device
  chunks: ChunkClient
  /** Free space of file systems is made zero as well. */
  zeroUnused: boolean
  signal: AbortSignal
  /** Told after each piece is written. */
  onWritten(piece: Piece): void
}

/** Brings pieces of an image to the disk; each chunk was hashed before its write. */
export async function writePieces(
  pieces: AsyncIterable<Piece>,
  target: WriteTarget,
): Promise<void> {
  const options = { concurrency: WRITERS, signal: target.signal }
  await forEachConcurrently(pieces, options, async (piece, signal) => {
    await writePiece(piece, target, signal)
    target.onWritten(piece)
  })
}

async function writePiece(
  piece: Piece,
  { device, chunks, zeroUnused }: WriteTarget,
  signal: AbortSignal,
): Promise<void> {
  switch (piece.kind) {
    case 'zero':
      return await device.zero(piece)
    case 'unused':
      return zeroUnused ? await device.zero(piece) : await device.discard(piece)
    case 'data':
      return await writeChunk(piece, device, chunks, signal)
  }
}

async function writeChunk(
  piece: Piece & { kind: 'data' },
  device: Device,
  chunks: ChunkClient,
  signal: AbortSignal,
): Promise<void> {
  await withChunkBuffer(async (buffer) => {
    const read = await chunks.readInto(piece.hash, buffer, signal)
    const length = piece.end - piece.start
    if (read !== length)
      throw new ChunkCorruptError(
        `Chunk ${piece.hash} holds ${read} bytes where the image has ${length}`,
      )
    signal.throwIfAborted()
    await device.write(buffer.subarray(0, length), piece.start)
  })
}
