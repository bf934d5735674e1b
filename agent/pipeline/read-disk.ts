import { totalmem } from 'node:os'
import { CHUNK_BYTES, chunkCount, chunkLength, encodeManifest } from '#protocol/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunk-client.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { Device } from '../disk/device.ts'
import { hashChunk } from '../chunk-pool.ts'
import { createSegmentSender, type ChunkSpan, type SegmentSender } from './segment-sender.ts'
import { createChunkSender, type ChunkSender } from './send-chunks.ts'
import { isZero } from './verify-pieces.ts'
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
  chunks: ChunkClient
  signal: AbortSignal
  onProgress(bytesDone: number, bytesTotal: number): void
}

export interface DiskImage {
  manifest: Uint8Array
  bytesSent: number
}

/** Reads a whole disk, brings what is new of it to the server, and returns its manifest. */
export async function readDisk(options: ReadDiskOptions): Promise<DiskImage> {
  const { device, chunks, signal } = options
  const { sizeBytes } = device
  const sender = createChunkSender(chunks)
  const segments = createSegmentSender(sizeBytes, sender)
  let bytesDone = 0
  const batching = { concurrency: BATCHES_AT_ONCE, signal }
  await forEachConcurrently(batches(sizeBytes), batching, async (batch, batchSignal) => {
    await readBatch(batch, { device, segments, sender, signal: batchSignal })
    await segments.finish(batch, batchSignal)
    bytesDone += Math.min(batch.end * CHUNK_BYTES, sizeBytes) - batch.start * CHUNK_BYTES
    options.onProgress(bytesDone, sizeBytes)
  })
  const { sectorBytes } = options
  const manifest = encodeManifest({ sizeBytes, sectorBytes, segments: segments.segments() })
  return { manifest, bytesSent: sender.bytesSent() }
}

async function* batches(sizeBytes: number): AsyncGenerator<ChunkSpan> {
  const count = chunkCount(sizeBytes)
  for (let start = 0; start < count; start += BATCH_CHUNKS)
    yield { start, end: Math.min(start + BATCH_CHUNKS, count) }
}

interface BatchContext {
  device: Device
  segments: SegmentSender
  sender: ChunkSender
  signal: AbortSignal
}

async function readBatch(batch: ChunkSpan, context: BatchContext): Promise<void> {
  const found = new Map<Sha256, Buffer>()
  await withBuffers(batch.end - batch.start, async (buffers) => {
    const reads = buffers.map((buffer, offset) => readChunk(batch.start + offset, buffer, context))
    for (const read of await Promise.allSettled(reads)) {
      if (read.status === 'rejected') throw read.reason
      if (read.value) found.set(read.value.hash, read.value.bytes)
    }
    context.signal.throwIfAborted()
    await context.sender.send(found, context.signal)
  })
}

/** The chunk with its hash, noted at its place; undefined for zeros. */
async function readChunk(index: number, buffer: Buffer, { device, segments }: BatchContext) {
  const bytes = buffer.subarray(0, chunkLength(device.sizeBytes, index))
  await device.read(bytes, index * CHUNK_BYTES)
  if (isZero(bytes)) return undefined
  const hash = await hashChunk(bytes)
  segments.set(index, hash)
  return { hash, bytes }
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
