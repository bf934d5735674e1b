import { totalmem } from 'node:os'
import { CHUNK_BYTES, chunkLength, encodeManifest } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { isZero } from '../chunks/content.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { Device } from '../disk/device.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import { NONE, totalBytes, union, within, type ByteSpan, type Extents } from '../used/extents.ts'
import type { Patch } from '../used/region.ts'
import { planReads, readsFor } from './read-plan.ts'
import { createSegmentSender, type SegmentSender } from './segment-sender.ts'
import { createChunkSender, type ChunkSender } from './send-chunks.ts'
import { forEachConcurrently } from './workers.ts'

const IS_SMALL_MACHINE = totalmem() < 1024 ** 3
/**
 * Asked for at once, and in memory with what they are compressed to: 48 MiB of disk content
 * together, or 16 MiB.
 */
const BATCH_CHUNKS = IS_SMALL_MACHINE ? 8 : 16
const BATCHES_AT_ONCE = IS_SMALL_MACHINE ? 2 : 3

export interface ReadDiskOptions {
  device: Device
  sectorBytes: 512 | 4096
  /** What is read. A chunk without any of it becomes an unused one, the rest of others zeros. */
  used: Extents
  /** Chunks that have some of this are none of the unused ones, but of zeros where nothing is used. */
  cleared?: Extents
  /** What the image has instead of the disk's own bytes. */
  patches: readonly Patch[]
  chunks: ChunkClient
  signal: AbortSignal
  onProgress(bytesDone: number, bytesTotal: number): void
}

export interface DiskImage {
  manifest: Uint8Array
  bytesSent: number
}

/** Reads what is used of a disk, brings what is new of it to the server, and returns its manifest. */
export async function readDisk(options: ReadDiskOptions): Promise<DiskImage> {
  const { device, used, cleared = NONE, chunks, signal } = options
  const { sizeBytes } = device
  const sender = createChunkSender(chunks)
  const segments = createSegmentSender(sizeBytes, sender)
  const bytesTotal = totalBytes(used)
  let bytesDone = 0
  const batching = { concurrency: BATCHES_AT_ONCE, signal }
  const steps = planReads(union(used, cleared), sizeBytes, BATCH_CHUNKS)
  await forEachConcurrently(inTurn(steps), batching, async (step, stepSignal) => {
    if (step.kind === 'unused') {
      segments.unused(step.chunks)
      await segments.finish(step.chunks, stepSignal)
      return
    }
    const batch = { ...options, segments, sender, signal: stepSignal }
    const bytesRead = await readBatch(step.chunks, batch)
    // Not `+= await`: that adds to what was done before the other batches were.
    bytesDone += bytesRead
    for (const start of step.chunks) await segments.finish({ start, end: start + 1 }, stepSignal)
    options.onProgress(bytesDone, bytesTotal)
  })
  const { sectorBytes } = options
  const manifest = encodeManifest({ sizeBytes, sectorBytes, segments: segments.segments() })
  return { manifest, bytesSent: sender.bytesSent() }
}

async function* inTurn<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items
}

interface BatchContext extends Pick<ReadDiskOptions, 'device' | 'used' | 'patches'> {
  segments: SegmentSender
  sender: ChunkSender
  signal: AbortSignal
}

/** Returns how many bytes of the batch are in use. */
async function readBatch(batch: readonly number[], context: BatchContext): Promise<number> {
  const found = new Map<Sha256, Buffer>()
  let usedBytes = 0
  await withBuffers(batch.length, async (buffers) => {
    const reads = buffers.map((buffer, at) => readChunk(batch[at]!, buffer, context))
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') throw read.reason
      usedBytes += read.value.usedBytes
      if (read.value.hash) found.set(read.value.hash, read.value.bytes)
    }
    context.signal.throwIfAborted()
    await context.sender.send(found, context.signal)
  })
  return usedBytes
}

/** The chunk with its hash, noted at its place; without one if it holds only zeros. */
async function readChunk(index: number, buffer: Buffer, context: BatchContext) {
  const { device, used, patches, segments } = context
  const start = index * CHUNK_BYTES
  const bytes = buffer.subarray(0, chunkLength(device.sizeBytes, index))
  const spans = within(used, { start, end: start + bytes.length })
  for (const read of readsFor(spans, device.sizeBytes))
    await device.read(bytes.subarray(read.start - start, read.end - start), read.start)
  zeroAround(spans, bytes, start)
  for (const patch of patches) applyPatch(patch, bytes, start)
  const usedBytes = spans.reduce((sum, span) => sum + span.end - span.start, 0)
  if (isZero(bytes)) return { usedBytes, bytes }
  const hash = await hashChunk(bytes)
  segments.set(index, hash)
  return { usedBytes, bytes, hash }
}

/** The same content is the same chunk, whatever free space held, and the buffer before. */
function zeroAround(spans: readonly ByteSpan[], bytes: Buffer, start: number): void {
  let at = 0
  for (const span of spans) {
    bytes.fill(0, at, span.start - start)
    at = span.end - start
  }
  bytes.fill(0, at)
}

function applyPatch(patch: Patch, bytes: Buffer, start: number): void {
  const from = Math.max(0, start - patch.start)
  const to = Math.min(patch.bytes.length, start + bytes.length - patch.start)
  if (from < to) bytes.set(patch.bytes.subarray(from, to), patch.start + from - start)
}

async function withBuffers<Result>(
  count: number,
  use: (buffers: Buffer[]) => Promise<Result>,
): Promise<Result> {
  const take = (buffers: Buffer[]): Promise<Result> =>
    buffers.length === count
      ? use(buffers)
      : withChunkBuffer((buffer) => take([...buffers, buffer]))
  return await take([])
}
