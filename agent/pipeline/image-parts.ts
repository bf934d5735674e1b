import { totalmem } from 'node:os'
import type { Manifest } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { planImage, type ChunkRange, type Piece } from './image-plan.ts'

/**
 * Segments kept, 1 MiB each: an image is planned four times, and of disks up to 2 TiB each segment is
 * fetched once.
 */
const MAX_KEPT_SEGMENTS = totalmem() < 1024 ** 3 ? 8 : 64

/** What belongs in a range of chunks, as often as it is asked for. */
export type ImageParts = (range: ChunkRange) => AsyncIterable<Piece>

export function createImageParts(
  manifest: Manifest,
  chunks: Pick<ChunkClient, 'read'>,
  signal: AbortSignal,
): ImageParts {
  const kept = new Map<Sha256, Promise<Uint8Array>>()

  function readSegment(hash: Sha256): Promise<Uint8Array> {
    const present = kept.get(hash)
    if (present) return present
    for (const oldest of kept.keys()) if (kept.size >= MAX_KEPT_SEGMENTS) kept.delete(oldest)
    const reading = chunks.read(hash, signal)
    kept.set(hash, reading)
    reading.catch(() => kept.delete(hash)) // whoever asked gets the error
    return reading
  }

  return (range) => planImage(manifest, range, readSegment)
}
