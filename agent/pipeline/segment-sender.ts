import {
  HASH_BYTES,
  SEGMENT_CHUNKS,
  chunkCount,
  segmentCount,
  segmentLength,
} from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { isZero, sha256 } from '../chunks/content.ts'
import type { ChunkSender } from './send-chunks.ts'

/** Chunks of an image, half-open. */
export interface ChunkSpan {
  start: number
  end: number
}

export interface SegmentSender {
  /** What the chunk holds. Without this, or `unused`, it is a chunk of zeros. */
  set(index: number, hash: Sha256): void
  unused(span: ChunkSpan): void
  /** All of these are known now, which is said once of each chunk; sends the segments that are full. */
  finish(span: ChunkSpan, signal: AbortSignal): Promise<void>
  /** For the manifest, once every chunk is known: a segment that lists only zeros is `null`. */
  segments(): (Sha256 | null)[]
}

interface OpenSegment {
  /** Undefined while it lists nothing but zeros. */
  bytes: Buffer | undefined
  unknown: number
}

/**
 * The lists of an image's chunks, each on its way to the server as soon as it is full: of the 32 bytes that
 * each chunk takes, a disk of 10 TB would have 320 MB, and no more than a few segments of 1 MiB are in
 * memory as long as chunks come roughly in order.
 */
export function createSegmentSender(sizeBytes: number, sender: ChunkSender): SegmentSender {
  const count = chunkCount(sizeBytes)
  const open = new Map<number, OpenSegment>()
  const done: (Sha256 | null | undefined)[] = Array.from({ length: segmentCount(sizeBytes) })

  function segmentOf(number: number): OpenSegment {
    const present = open.get(number)
    if (present) return present
    const segment = { bytes: undefined, unknown: segmentLength(sizeBytes, number) }
    open.set(number, segment)
    return segment
  }

  /** Where the chunk stands in its segment. */
  function bytesFor({ start, end }: ChunkSpan): Buffer {
    const number = Math.floor(start / SEGMENT_CHUNKS)
    const segment = segmentOf(number)
    segment.bytes ??= Buffer.alloc(segmentLength(sizeBytes, number) * HASH_BYTES)
    const first = number * SEGMENT_CHUNKS
    return segment.bytes.subarray((start - first) * HASH_BYTES, (end - first) * HASH_BYTES)
  }

  async function close(number: number, signal: AbortSignal): Promise<void> {
    const { bytes } = segmentOf(number)
    open.delete(number)
    if (!bytes || isZero(bytes)) {
      done[number] = null
      return
    }
    const hash = sha256(bytes)
    await sender.send(new Map([[hash, bytes]]), signal)
    done[number] = hash
  }

  return {
    set(index, hash) {
      bytesFor({ start: index, end: index + 1 }).write(hash, 'hex')
    },
    unused(span) {
      for (const part of bySegment(span)) bytesFor(part).fill(0xff)
    },
    async finish(span, signal) {
      for (const part of bySegment(span)) {
        const number = Math.floor(part.start / SEGMENT_CHUNKS)
        const segment = segmentOf(number)
        segment.unknown -= part.end - part.start
        if (segment.unknown === 0) await close(number, signal)
      }
    },
    segments() {
      return done.map((hash, number) => {
        if (hash === undefined)
          throw new Error(`Segment ${number} of an image of ${count} chunks was never full`)
        return hash
      })
    },
  }
}

/** The same chunks, cut where segments begin. */
function* bySegment({ start, end }: ChunkSpan): Generator<ChunkSpan> {
  for (let from = start; from < end;) {
    const next = (Math.floor(from / SEGMENT_CHUNKS) + 1) * SEGMENT_CHUNKS
    const to = Math.min(end, next)
    yield { start: from, end: to }
    from = to
  }
}
