import {
  CHUNK_BYTES,
  chunkLength,
  type ChunkReference,
  decodeSegment,
  SEGMENT_CHUNKS,
  segmentLength,
  isStored,
} from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { readContent } from '../store/chunk-codec.ts'
import { ChunkCorruptError, type ChunkStore } from '../store/chunk-store.ts'
import { type ExportPart, skippedPart } from './export-parts.ts'

/** The content of a disk, whatever forms its chunks have in the store. */
export interface DiskContent {
  store: ChunkStore
  sizeBytes: number
  /** Null: zeros only. */
  segments: readonly (Sha256 | null)[]
}

const ZEROS = new Uint8Array(CHUNK_BYTES)

export async function readSegment(
  { store, segments }: DiskContent,
  index: number,
): Promise<ChunkReference[] | undefined> {
  const hash = segments[index]
  return hash ? decodeSegment(await readContent(store, hash)) : undefined
}

/** A chunk as it is on the disk; what is unused reads as zeros. */
export async function readDiskChunk(
  { store, sizeBytes }: DiskContent,
  index: number,
  reference: ChunkReference,
): Promise<Uint8Array> {
  const length = chunkLength(sizeBytes, index)
  if (!isStored(reference)) return ZEROS.subarray(0, length)
  const content = await readContent(store, reference)
  if (content.length === length) return content
  throw new ChunkCorruptError(reference, `it has ${content.length} bytes, not ${length}`)
}

/** The disk from its first byte on; whole segments that end before `start` are one part each. */
export async function* diskParts(disk: DiskContent, start: number): AsyncGenerator<ExportPart> {
  for (const index of disk.segments.keys()) {
    const first = index * SEGMENT_CHUNKS
    const count = segmentLength(disk.sizeBytes, index)
    const startByte = first * CHUNK_BYTES
    const length = Math.min(count * CHUNK_BYTES, disk.sizeBytes - startByte)
    if (startByte + length <= start) {
      yield skippedPart(length)
      continue
    }
    const references = await readSegment(disk, index)
    for (let at = first; at < first + count; at++)
      yield {
        length: chunkLength(disk.sizeBytes, at),
        load: () => readDiskChunk(disk, at, references?.[at - first] ?? 'zero'),
      }
  }
}
