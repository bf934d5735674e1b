import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { isZero } from '../chunks/content.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { Device } from '../disk/device.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import type { Piece } from './image-plan.ts'
import { forEachConcurrently } from './workers.ts'

const READERS = 8

/** The disk does not hold what was written to it. */
export class ReadBackError extends Error {
  override name = 'ReadBackError'
}

export interface VerifyTarget {
  device: Device
  /** Free space of file systems must read as zeros as well. */
  zeroUnused: boolean
  signal: AbortSignal
  onVerified(piece: Piece): void
}

/** Reads pieces from the device and compares: chunks by hash, zeros byte by byte. */
export async function verifyPieces(
  pieces: AsyncIterable<Piece>,
  target: VerifyTarget,
): Promise<void> {
  const options = { concurrency: READERS, signal: target.signal }
  await forEachConcurrently(pieces, options, async (piece, signal) => {
    if (piece.kind === 'data') await verifyChunk(piece, target.device)
    else if (piece.kind === 'zero' || target.zeroUnused)
      await verifyZeros(piece, target.device, signal)
    target.onVerified(piece)
  })
}

async function verifyChunk(piece: Piece & { kind: 'data' }, device: Device): Promise<void> {
  await withChunkBuffer(async (buffer) => {
    const bytes = buffer.subarray(0, piece.end - piece.start)
    await device.read(bytes, piece.start)
    if ((await hashChunk(bytes)) !== piece.hash) throw readBackError(device, piece.start)
  })
}

async function verifyZeros(piece: Piece, device: Device, signal: AbortSignal): Promise<void> {
  await withChunkBuffer(async (buffer) => {
    for (let start = piece.start; start < piece.end; start += CHUNK_BYTES) {
      signal.throwIfAborted()
      const bytes = buffer.subarray(0, Math.min(CHUNK_BYTES, piece.end - start))
      await device.read(bytes, start)
      if (!isZero(bytes)) throw readBackError(device, start)
    }
  })
}

function readBackError(device: Device, start: number): ReadBackError {
  return new ReadBackError(
    `Disk ${device.path} reads back other bytes than were written, in the MiB at byte ${start}; ` +
      `replace the disk or its cable`,
  )
}
