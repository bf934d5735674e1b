import { CHUNK_BYTES, chunkCount, type Manifest } from '#protocol/image/image.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import type { Device } from '../disk/device.ts'
import { createImageParts } from './image-parts.ts'
import type { Piece } from './image-plan.ts'
import { hashOnDisk } from './look-at-disk.ts'
import { forEachConcurrently } from './workers.ts'

const READERS = 16

export interface CompareOptions {
  device: Device
  manifest: Manifest
  chunks: Pick<ChunkClient, 'read'>
  signal: AbortSignal
  progress: (bytesDone: number, bytesTotal: number) => void
}

export interface Comparison {
  chunksCompared: number
  /** Not compared: free space of file systems, whose content the image does not have. */
  chunksUnused: number
  /** Numbers of the MiB of the disk that hold something else, in order. */
  differing: number[]
  /** Those of them that the disk can't read. */
  unreadable: number[]
}

/** Reads a disk and tells where it holds something else than the image. Writes nothing. */
export async function compareDisk(options: CompareOptions): Promise<Comparison> {
  const { device, manifest, chunks, signal } = options
  const found: Comparison = { chunksCompared: 0, chunksUnused: 0, differing: [], unreadable: [] }
  const parts = createImageParts(manifest, chunks, signal)
  const all = parts({ start: 0, end: chunkCount(manifest.sizeBytes) })
  let bytesDone = 0
  await forEachConcurrently(all, { concurrency: READERS, signal }, async (piece, stop) => {
    for (let start = piece.start; start < piece.end; start += CHUNK_BYTES) {
      stop.throwIfAborted()
      const end = Math.min(start + CHUNK_BYTES, piece.end)
      await compareChunk({ ...piece, start, end }, device, found)
      options.progress((bytesDone += end - start), manifest.sizeBytes)
    }
  })
  const ascending = (a: number, b: number) => a - b
  found.differing.sort(ascending)
  found.unreadable.sort(ascending)
  return found
}

async function compareChunk(piece: Piece, device: Device, found: Comparison): Promise<void> {
  if (piece.kind === 'unused') {
    found.chunksUnused++
    return
  }
  found.chunksCompared++
  const place = piece.start / CHUNK_BYTES
  const isOnDisk = piece.end <= device.sizeBytes
  const held = isOnDisk ? await hashOnDisk(device, place, piece.end - piece.start) : 'unreadable'
  if (held === (piece.kind === 'data' ? piece.hash : 'zero')) return
  found.differing.push(place)
  if (held === 'unreadable') found.unreadable.push(place)
}
