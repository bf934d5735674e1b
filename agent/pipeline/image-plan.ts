import {
  CHUNK_BYTES,
  SEGMENT_CHUNKS,
  chunkCount,
  chunkLength,
  decodeSegment,
  segmentCount,
  segmentLength,
  type ChunkReference,
  type Manifest,
  isStored,
} from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ChunkCorruptError } from '../chunks/chunk-client.ts'

/** A part of a disk and what belongs there; bytes, half-open. */
export type Piece =
  | { kind: 'data'; start: number; end: number; hash: Sha256 }
  | { kind: 'zero' | 'unused'; start: number; end: number }

/** Runs of zeros are done in pieces of this size, so that progress and cancel keep up. */
const MAX_RUN_CHUNKS = 64

/**
 * Backup header and entries, UEFI 2.10 section 5.3.1: mostly 33 sectors of 512 bytes or 5 of 4,096, but as
 * many as 4,096 entries are read.
 */
const BACKUP_GPT_BYTES = 4096 * 128 + 4096

export interface ChunkRange {
  start: number
  end: number
}

export interface WriteOrder {
  body: ChunkRange
  /** Where the image has its backup GPT, if it has one. */
  backup: ChunkRange
  /** The partition table and the first stage of a boot loader. */
  head: ChunkRange
}

/** The parts of an image in the order in which they are written: the disk boots after the last. */
export function writeOrder(manifest: Manifest): WriteOrder {
  const count = chunkCount(manifest.sizeBytes)
  const backupStart = Math.max(1, Math.floor((manifest.sizeBytes - BACKUP_GPT_BYTES) / CHUNK_BYTES))
  return {
    body: { start: 1, end: Math.max(1, Math.min(backupStart, count)) },
    backup: { start: Math.min(backupStart, count), end: count },
    head: { start: 0, end: 1 },
  }
}

/**
 * What belongs in a range of chunks, in disk order; neighbours of the same kind are joined. One
 * segment is in memory at a time: they say 32 GiB of disk each.
 */
export async function* planImage(
  manifest: Manifest,
  range: ChunkRange,
  readSegment: (hash: Sha256) => Promise<Uint8Array>,
): AsyncGenerator<Piece> {
  const first = Math.floor(range.start / SEGMENT_CHUNKS)
  for (let segment = first; segment * SEGMENT_CHUNKS < range.end; segment++) {
    const base = segment * SEGMENT_CHUNKS
    const references = await segmentReferences(manifest, segment, readSegment)
    const end = Math.min(references.length, range.end - base)
    yield* joinRuns(references, manifest.sizeBytes, base, {
      start: Math.max(0, range.start - base),
      end,
    })
  }
}

async function segmentReferences(
  manifest: Manifest,
  segment: number,
  readSegment: (hash: Sha256) => Promise<Uint8Array>,
): Promise<ChunkReference[]> {
  const length = segmentLength(manifest.sizeBytes, segment)
  const hash = manifest.segments[segment]
  if (hash === undefined || manifest.segments.length !== segmentCount(manifest.sizeBytes))
    throw new TypeError(
      `The manifest lists ${manifest.segments.length} segments, not as its size says`,
    )
  if (hash === null) return Array.from({ length }, () => 'zero')
  const references = decodeSegment(await readSegment(parseSha256(hash)))
  if (references.length !== length)
    throw new ChunkCorruptError(
      `Segment ${hash} lists ${references.length} chunks where its image has ${length}`,
    )
  return references
}

function* joinRuns(
  references: readonly ChunkReference[],
  sizeBytes: number,
  base: number,
  range: ChunkRange,
): Generator<Piece> {
  for (let index = range.start; index < range.end;) {
    const reference = references[index]!
    const start = (base + index) * CHUNK_BYTES
    if (isStored(reference)) {
      const end = start + chunkLength(sizeBytes, base + index)
      yield { kind: 'data', start, end, hash: reference }
      index++
      continue
    }
    const first = index
    const limit = Math.min(range.end, first + MAX_RUN_CHUNKS)
    while (index < limit && references[index] === reference) index++
    yield { kind: reference, start, end: Math.min((base + index) * CHUNK_BYTES, sizeBytes) }
  }
}
