import {
  CHUNK_BYTES,
  chunkLength,
  type ChunkReference,
  SEGMENT_CHUNKS,
  segmentLength,
  isStored,
} from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { statedLength } from '../codec/gzip-member.ts'
import { decodeFrameHeader } from '../codec/zstd-frame.ts'
import { verifiedContent, wrapPlain } from '../store/chunk-codec.ts'
import {
  ChunkCorruptError,
  type ChunkForm,
  type ChunkStore,
  type StoredChunk,
} from '../store/chunk-store.ts'
import type { SharedReads } from '../store/shared-reads.ts'
import type { ExportFormat } from './export-format.ts'
import { type ExportPart, type LentBytes, readParts, skippedPart } from './export-parts.ts'
import { type LayoutEntry, layoutEntry, type SegmentLayout } from './layout.ts'
import type { WrappedChunks } from './wrapped-chunks.ts'

/** What an export needs to know; all of it stays as it was when the export began. */
export type ExportSource = {
  format: ExportFormat
  digest: Sha256
  sizeBytes: number
  segments: readonly {
    /** Null: zeros only. */
    hash: Sha256 | null
    /** In the export. */
    exportBytes: number
  }[]
  loadLayout: (segmentIndex: number) => Promise<SegmentLayout>
  loadSegment: (hash: Sha256) => Promise<readonly ChunkReference[]>
  /** Absent: all bytes that go out are new. Else they are lent: good until the next are asked for. */
  lender?: ExportLender | undefined
}

export type ExportLender = { reads: SharedReads; wrapped: WrappedChunks; reader: object }

/** Constant members that go out in one piece, so that a sparse disk is not a kilobyte at a time. */
const ZERO_RUN_CHUNKS = 256

/**
 * Bytes `[start, end)` of an export of an image, as they lie in the store. Throws an error of
 * the store when a chunk is missing or is not what the layout says; then what went out must not
 * look complete.
 */
export function exportImage(
  store: ChunkStore,
  source: ExportSource,
  range: { start: number; end: number },
): AsyncGenerator<Uint8Array> {
  return readParts(partsOf(store, source, range.start), range)
}

/** All parts from the first byte on; whole segments that end before `start` are one part each. */
async function* partsOf(
  store: ChunkStore,
  source: ExportSource,
  start: number,
): AsyncGenerator<ExportPart> {
  const stamp = source.format.stamp(source)
  yield { length: stamp.length, load: async () => stamp }
  let segmentStart = stamp.length
  for (const [index, { hash, exportBytes }] of source.segments.entries()) {
    if (segmentStart + exportBytes <= start) yield skippedPart(exportBytes)
    else if (hash === null) yield* zeroParts(source, index)
    else yield* storedParts(store, source, index, hash)
    segmentStart += exportBytes
  }
}

function* zeroParts(source: ExportSource, segmentIndex: number): Generator<ExportPart> {
  const count = segmentLength(source.sizeBytes, segmentIndex)
  yield* zeroRun(source, segmentIndex * SEGMENT_CHUNKS, count)
}

async function* storedParts(
  store: ChunkStore,
  source: ExportSource,
  segmentIndex: number,
  hash: Sha256,
): AsyncGenerator<ExportPart> {
  const segment = await source.loadSegment(hash)
  const layout = await source.loadLayout(segmentIndex)
  const first = segmentIndex * SEGMENT_CHUNKS
  for (let at = 0; at < segment.length;) {
    let run = 0
    while (at + run < segment.length && layoutEntry(layout, at + run).kind === 'zero') run++
    yield* zeroRun(source, first + at, run)
    at += run
    if (at === segment.length) break
    const entry = layoutEntry(layout, at)
    const contentBytes = chunkLength(source.sizeBytes, first + at)
    const reference = segment[at]!
    yield {
      length: source.format.length(entry, contentBytes),
      load: () => loadChunk(store, source, reference, entry, contentBytes),
    }
    at++
  }
}

function* zeroRun(
  { sizeBytes, format }: ExportSource,
  firstIndex: number,
  count: number,
): Generator<ExportPart> {
  for (let index = firstIndex; index < firstIndex + count;) {
    const contentBytes = chunkLength(sizeBytes, index)
    const run = contentBytes < CHUNK_BYTES ? 1 : Math.min(ZERO_RUN_CHUNKS, wholeChunks(index))
    yield {
      length: run * format.zeros(contentBytes).length,
      load: async () => repeated(format.zeros(contentBytes), run),
    }
    index += run
  }

  /** Those of the rest of the run that are not the short last one of the disk. */
  function wholeChunks(index: number): number {
    const rest = firstIndex + count - index
    return chunkLength(sizeBytes, index + rest - 1) < CHUNK_BYTES ? rest - 1 : rest
  }
}

/** Of whole chunks, one for each format. */
const longRuns = new Map<Uint8Array, Uint8Array>()

function repeated(zeros: Uint8Array, count: number): Uint8Array {
  if (count === 1) return zeros
  let longRun = longRuns.get(zeros)
  if (!longRun) {
    longRun = Buffer.concat(Array<Uint8Array>(ZERO_RUN_CHUNKS).fill(zeros))
    longRuns.set(zeros, longRun)
  }
  return longRun.subarray(0, count * zeros.length)
}

/** A chunk to be read, and what the export was promised of it. */
type Wanted = { hash: Sha256; form: ChunkForm; contentBytes: number }

function loadChunk(
  store: ChunkStore,
  { format, lender }: ExportSource,
  reference: ChunkReference,
  entry: LayoutEntry,
  contentBytes: number,
): Promise<Uint8Array | LentBytes> {
  if (!isStored(reference)) throw new Error('The layout of an image does not belong to its segment')
  if (entry.kind === 'zero') throw new Error('A zero chunk is not read from the store')
  const form = { codec: entry.kind, storedBytes: entry.storedBytes }
  const wanted = { hash: reference, form, contentBytes }
  return lender ? lendChunk(lender, format, wanted) : readChunk(store, format, wanted)
}

async function readChunk(
  store: ChunkStore,
  format: ExportFormat,
  wanted: Wanted,
): Promise<Uint8Array> {
  const { hash, form } = wanted
  const stored = await store.read(hash, undefined, { form })
  checkStored(stored, wanted)
  // What wraps it has a checksum made here, or none: it must not vouch for what the store has lost.
  if (stored.codec !== format.codec)
    return wrapPlain(format.codec, await verifiedContent(hash, stored))
  return stored.bytes
}

async function lendChunk(
  { reads, wrapped, reader }: ExportLender,
  format: ExportFormat,
  wanted: Wanted,
): Promise<LentBytes> {
  const { hash, form } = wanted
  const stored = await reads.read(hash, { form, reader })
  try {
    checkStored(stored, wanted)
  } catch (err) {
    stored.release()
    throw err
  }
  if (stored.codec !== format.codec) return await wrapped.wrap(hash, format.codec, stored)
  return stored
}

/** Throws ChunkCorruptError if it is not what the layout says, or not as long as its place. */
function checkStored({ codec, bytes }: StoredChunk, { hash, form, contentBytes }: Wanted): void {
  if (form.codec !== codec || form.storedBytes !== bytes.length)
    throw new ChunkCorruptError(
      hash,
      `it is ${bytes.length} bytes of ${codec}, not ${JSON.stringify(form)} as when the image was made`,
    )
  const stated = codec === 'gzip' ? statedLength(bytes) : decodeFrameHeader(bytes).contentBytes
  if (stated !== contentBytes)
    throw new ChunkCorruptError(hash, `it states ${stated} bytes, not ${contentBytes}`)
}
