import { CHUNK_BYTES, chunkCount } from '#protocol/image/image.ts'
import type { ByteSpan, Extents } from '../used/extents.ts'
import type { ChunkSpan } from './segment-sender.ts'

/** The next thing to do in a capture. */
export type ReadStep =
  | { kind: 'read'; chunks: number[] }
  /** Nothing in these is in use. */
  | { kind: 'unused'; chunks: ChunkSpan }

/** Every chunk of the disk, once and in order; those to be read in batches. */
export function* planReads(
  used: Extents,
  sizeBytes: number,
  batchChunks: number,
): Generator<ReadStep> {
  let batch: number[] = []
  let next = 0
  for (const { start, end } of usedChunks(used)) {
    // A batch goes first, so that segments are full in their order.
    if (start > next) {
      if (batch.length > 0) yield { kind: 'read', chunks: batch }
      batch = []
      yield { kind: 'unused', chunks: { start: next, end: start } }
    }
    for (let index = Math.max(start, next); index < end; index++) {
      batch.push(index)
      if (batch.length < batchChunks) continue
      yield { kind: 'read', chunks: batch }
      batch = []
    }
    next = Math.max(next, end)
  }
  if (batch.length > 0) yield { kind: 'read', chunks: batch }
  const count = chunkCount(sizeBytes)
  if (next < count) yield { kind: 'unused', chunks: { start: next, end: count } }
}

/** Chunks that have used bytes, in order; the same chunk may come again with the next extent. */
function* usedChunks(used: Extents): Generator<ChunkSpan> {
  for (let at = 0; at < used.length; at += 2)
    yield {
      start: Math.floor(used[at]! / CHUNK_BYTES),
      end: Math.ceil(used[at + 1]! / CHUNK_BYTES),
    }
}

/** Multiple of every sector size: what O_DIRECT wants of offsets and lengths. */
const PAGE_BYTES = 4096
/** Reading this much for nothing is cheaper than one more command to the disk. */
const MAX_GAP_BYTES = 128 * 1024

/** What to ask the disk for, so that `spans` of one chunk are read: aligned, and few. */
export function readsFor(spans: readonly ByteSpan[], deviceBytes: number): ByteSpan[] {
  const reads: ByteSpan[] = []
  for (const span of spans) {
    const start = span.start - (span.start % PAGE_BYTES)
    const end = Math.min(Math.ceil(span.end / PAGE_BYTES) * PAGE_BYTES, deviceBytes)
    const last = reads.at(-1)
    if (last && start - last.end <= MAX_GAP_BYTES) last.end = Math.max(last.end, end)
    else reads.push({ start, end })
  }
  return reads
}
