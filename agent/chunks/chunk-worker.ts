import { hash as digestOf } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { gunzipSync } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/image/chunk-size.ts'
import { letGo } from '#protocol/let-go.ts'
import { compressFrame, decompressFrame } from './zstd-calls.ts'

/** What a thread of the chunk pool is asked; `chunk` and `frame` are memory that all threads share. */
export type ChunkJob =
  | { kind: 'hash'; chunk: Uint8Array }
  | { kind: 'decode'; stored: Uint8Array; chunk: Uint8Array }
  | { kind: 'compress'; chunk: Uint8Array; frame: Uint8Array; level: number }

export interface ChunkAnswer {
  /** Of the uncompressed bytes. */
  hash?: string
  /** Of the bytes that were decoded into `chunk`, or compressed into `frame`. */
  length?: number
  /** Why it could not be decoded. */
  corrupt?: string
}

/** RFC 8878, 3.1.1: magic number of a zstd frame. */
const ZSTD_MAGIC = 0xfd2fb528

/** One output buffer of the whole chunk, and no more than a chunk whatever comes. */
const INFLATE_OPTIONS = { chunkSize: CHUNK_BYTES + 1, maxOutputLength: CHUNK_BYTES }

function answer(job: ChunkJob): ChunkAnswer {
  switch (job.kind) {
    case 'hash':
      return { hash: digestOf('sha256', job.chunk, 'hex') }
    case 'compress':
      return { length: compressFrame(job.chunk, job.frame, job.level) }
    case 'decode':
      return decode(job.stored, job.chunk)
  }
}

function decode(stored: Uint8Array, chunk: Uint8Array): ChunkAnswer {
  let length: number
  try {
    length = inflate(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength), chunk)
  } catch (err) {
    return { corrupt: (err as Error).message }
  }
  letGo(stored)
  return { hash: digestOf('sha256', chunk.subarray(0, length), 'hex'), length }
}

function inflate(stored: Buffer, chunk: Uint8Array): number {
  const isZstd = stored.length >= 4 && stored.readUInt32LE() === ZSTD_MAGIC
  if (isZstd) return decompressFrame(stored, chunk)
  const bytes = gunzipSync(stored, INFLATE_OPTIONS)
  const { length } = bytes
  if (length > chunk.length)
    throw new Error(`It holds ${length} bytes where there is room for ${chunk.length}`)
  chunk.set(bytes)
  letGo(bytes)
  return length
}

parentPort?.on('message', (job: ChunkJob) => parentPort?.postMessage(answer(job)))
