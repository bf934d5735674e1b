import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import type { Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { Piece } from './image-plan.ts'

export type DataPiece = Piece & { kind: 'data' }

/** Where chunks come from: memory, another place of the same disk, or the server. */
export interface ChunkSource {
  /** Leaves the content at the start of `buffer` and returns its length; its hash was checked. */
  readInto(piece: DataPiece, buffer: Buffer, signal: AbortSignal): Promise<number>
  /** As `readInto`, from a place of the disk if that holds it still. */
  copyInto(piece: DataPiece, place: number, buffer: Buffer, signal: AbortSignal): Promise<number>
}

export interface ChunkSourceOptions {
  device: Device
  chunks: Pick<ChunkClient, 'readInto'>
  index: ChunkIndex
  /** What the disk's ends held before they were made zero. */
  ends: ReadonlyMap<Sha256, Buffer>
}

/**
 * Whatever a source is said to hold is hashed before it is taken: the index may be out of date, for
 * what it says of a place that was written over since.
 */
export function createChunkSource(options: ChunkSourceOptions): ChunkSource {
  const { device, chunks, index, ends } = options

  async function copied({ start, end, hash }: DataPiece, place: number, buffer: Buffer) {
    if (place === start / CHUNK_BYTES) return undefined
    const bytes = buffer.subarray(0, end - start)
    if (!(await tryRead(device, bytes, place * CHUNK_BYTES))) return undefined
    if ((await hashChunk(bytes)) !== hash) return undefined
    return bytes.length
  }

  async function readInto(piece: DataPiece, buffer: Buffer, signal: AbortSignal) {
    const kept = ends.get(piece.hash)
    if (kept) return kept.copy(buffer)
    const source = index.source(piece.hash)
    const fromDisk = source?.stays ? await copied(piece, source.place, buffer) : undefined
    return fromDisk ?? (await chunks.readInto(piece.hash, buffer, signal))
  }

  return {
    readInto,
    copyInto: async (piece, place, buffer, signal) =>
      (await copied(piece, place, buffer)) ?? (await readInto(piece, buffer, signal)),
  }
}
