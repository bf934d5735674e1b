import { totalmem } from 'node:os'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { isZero } from '../chunks/content.ts'
import { ChunkCorruptError } from '../chunks/chunk-client.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { ByteRange } from '../disk/byte-range.ts'
import type { Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'
import type { ChunkSource, DataPiece } from './chunk-source.ts'
import type { CompareWorth } from './compare-worth.ts'
import type { Piece } from './image-plan.ts'
import { EDGE_BYTES } from './wipe-ends.ts'
import { forEachConcurrently } from './workers.ts'

/** Each holds a chunk three times at most: compressed, inflated, and where the device takes it. */
const WRITERS = totalmem() < 1024 ** 3 ? 8 : 16

export interface WriteTarget {
  device: Device
  source: ChunkSource
  discard: (range: ByteRange) => Promise<void>
  /** Free space of file systems is made zero as well. */
  zeroUnused: boolean
  /** Each chunk of the disk is read before it is fetched, as long as that pays. */
  compare?: CompareWorth | undefined
  signal: AbortSignal
  /** Told after each piece is written. */
  onWritten: (piece: Piece) => void | Promise<void>
  /** Told instead if the disk held the piece already. */
  onHeld: (piece: Piece) => void
}

/** Brings pieces of an image to the disk; each chunk was hashed before its write. */
export async function writePieces(
  pieces: AsyncIterable<Piece>,
  target: WriteTarget,
): Promise<void> {
  const options = { concurrency: WRITERS, signal: target.signal }
  const take = createTurns()
  await forEachConcurrently(pieces, options, async (piece, signal) => {
    if (piece.kind === 'data')
      return await take(piece.hash, () => bringChunk(piece, target, signal))
    await clear(piece, target)
  })
}

/** Zeros that are there already are left, where looking costs less than making them. */
async function clear(
  piece: Piece & { kind: 'zero' | 'unused' },
  { device, discard, zeroUnused, onWritten, onHeld }: WriteTarget,
): Promise<void> {
  if (piece.kind === 'unused' && !zeroUnused) {
    await discard(piece)
    return await onWritten(piece)
  }
  const mayLook = device.keepsZeros && !device.zeroesQuickly()
  const start = mayLook ? await endOfZeros(piece, device) : piece.start
  if (start > piece.start) onHeld({ ...piece, end: start })
  if (start === piece.end) return
  await device.zero({ start, end: piece.end })
  await onWritten({ ...piece, start })
}

/** Where the zeros end with which the range begins, in whole chunks. */
async function endOfZeros({ start, end }: ByteRange, device: Device): Promise<number> {
  return await withChunkBuffer(async (buffer) => {
    for (let at = start; at < end; at += CHUNK_BYTES) {
      const bytes = buffer.subarray(0, Math.min(CHUNK_BYTES, end - at))
      if (!(await tryRead(device, bytes, at)) || !isZero(bytes)) return at
    }
    return end
  })
}

async function bringChunk(
  piece: DataPiece,
  target: WriteTarget,
  signal: AbortSignal,
): Promise<void> {
  const { compare, source } = target
  const isHeld = await withChunkBuffer(async (buffer) => {
    if (compare?.isWorthIt() && (await isThere(piece, buffer, target.device, compare))) return true
    const startedAt = performance.now()
    const length = await source.readInto(piece, buffer, signal)
    compare?.fetched(performance.now() - startedAt)
    await writeChunk(piece, length, buffer, target.device, signal)
    return false
  })
  if (isHeld) target.onHeld(piece)
  else await target.onWritten(piece)
}

async function isThere(
  { start, end, hash }: DataPiece,
  buffer: Buffer,
  device: Device,
  compare: CompareWorth,
): Promise<boolean> {
  const startedAt = performance.now()
  const bytes = buffer.subarray(0, end - start)
  const wasThere = (await tryRead(device, bytes, start)) && (await hashChunk(bytes)) === hash
  compare.compared(performance.now() - startedAt, wasThere)
  return wasThere
}

/** `buffer` holds content whose hash was checked, and nothing comes between that and the write. */
export async function writeChunk(
  { start, end, hash }: DataPiece,
  length: number,
  buffer: Buffer,
  device: Device,
  signal: AbortSignal,
): Promise<void> {
  if (length !== end - start)
    throw new ChunkCorruptError(
      `Chunk ${hash} holds ${length} bytes where the image has ${end - start}`,
    )
  signal.throwIfAborted()
  const bytes = buffer.subarray(0, length)
  if (start === 0) await writeHead(bytes, device)
  else await device.write(bytes, start)
}

/**
 * A power cut in the middle of a write leaves some sectors of it, in any order. So what firmware looks for
 * comes last, and in one sector.
 */
async function writeHead(bytes: Buffer, device: Device): Promise<void> {
  if (bytes.length > EDGE_BYTES) {
    await device.write(bytes.subarray(EDGE_BYTES), EDGE_BYTES)
    await device.flush()
  }
  await device.write(bytes.subarray(0, EDGE_BYTES), 0)
}

/** The same chunk at two places is fetched for the first of them, and is on the disk for the other. */
function createTurns() {
  const underWay = new Map<Sha256, Promise<void>>()
  return async (hash: Sha256, work: () => Promise<void>): Promise<void> => {
    for (let other = underWay.get(hash); other; other = underWay.get(hash)) await other
    const working = work()
    // Whoever waits asks anew whatever came of it; the failure is that of the first.
    const ended = working.then(
      () => {},
      () => {},
    )
    underWay.set(hash, ended)
    try {
      await working
    } finally {
      underWay.delete(hash)
    }
  }
}
