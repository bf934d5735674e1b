import { totalmem } from 'node:os'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Device } from '../disk/device.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { HeldChunks } from './held-chunks.ts'
import type { Piece } from './image-plan.ts'
import { hashOnDisk, isContent } from './look-at-disk.ts'
import { forEachConcurrently } from './workers.ts'

/** Deep enough a queue for any disk, and every core has something to hash. */
const READERS = totalmem() < 1024 ** 3 ? 8 : 24

export interface ScanOptions {
  device: Device
  index: ChunkIndex
  held: HeldChunks
  kinds: ReadonlySet<Piece['kind']>
  signal: AbortSignal
  /** Told of each chunk that is what the image has there. */
  onHeld: (piece: Piece) => void
}

/** Reads what the disk holds, and notes what of it is right and what is wanted elsewhere. */
export async function scanDisk(pieces: AsyncIterable<Piece>, options: ScanOptions): Promise<void> {
  const { signal, kinds } = options
  await forEachConcurrently(pieces, { concurrency: READERS, signal }, async (piece, stop) => {
    if (!kinds.has(piece.kind)) return
    for (let start = piece.start; start < piece.end; start += CHUNK_BYTES) {
      stop.throwIfAborted()
      await scanChunk({ ...piece, start, end: Math.min(start + CHUNK_BYTES, piece.end) }, options)
    }
  })
}

async function scanChunk(piece: Piece, { device, index, held, onHeld }: ScanOptions) {
  const place = piece.start / CHUNK_BYTES
  const found = await hashOnDisk(device, place, piece.end - piece.start)
  const isRight =
    piece.kind === 'data'
      ? found === piece.hash
      : piece.kind === 'zero' && found === 'zero' && device.keepsZeros
  if (isContent(found)) index.found(found, { place, stays: isRight })
  if (!isRight) return
  held.add(place)
  onHeld(piece)
}
