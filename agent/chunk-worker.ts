import { hash as digestOf } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { constants, gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/chunk-size.ts'
import { letGo } from '#protocol/let-go.ts'

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
const UNZSTD_OPTIONS = {
  ...INFLATE_OPTIONS,
  // No more memory for its window than for a chunk, whatever a frame asks for.
  params: { [constants.ZSTD_d_windowLogMax]: Math.log2(CHUNK_BYTES) },
}

/** Most chunks need no second buffer of this size, and few waste most of it. */
const COMPRESSED_BYTES = CHUNK_BYTES / 2

/**
 * Of level 2, a smaller table, which stays in a processor's own cache: of a Debian's files 1.6 times
 * as fast as level 3, for 3 % more.
 */
const TUNED: Partial<Record<number, Record<number, number>>> = {
  2: { [constants.ZSTD_c_hashLog]: 15, [constants.ZSTD_c_minMatch]: 6 },
}

function answer(job: ChunkJob): ChunkAnswer {
  switch (job.kind) {
    case 'hash':
      return { hash: digestOf('sha256', job.chunk, 'hex') }
    case 'compress':
      return { length: compress(job) }
    case 'decode':
      return decode(job.stored, job.chunk)
  }
}

function compress({ chunk, frame, level }: ChunkJob & { kind: 'compress' }): number {
  const compressed = zstdCompressSync(chunk, {
    chunkSize: COMPRESSED_BYTES,
    // The server wants the length in the frame's header.
    pledgedSrcSize: chunk.length,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      ...TUNED[level],
    },
  })
  const { length } = compressed
  frame.set(compressed)
  letGo(compressed)
  return length
}

function decode(stored: Uint8Array, chunk: Uint8Array): ChunkAnswer {
  let bytes: Uint8Array
  try {
    bytes = inflate(Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength))
  } catch (err) {
    return { corrupt: String(err) }
  }
  if (bytes.length > chunk.length)
    return { corrupt: `It holds ${bytes.length} bytes where there is room for ${chunk.length}` }
  const hash = digestOf('sha256', bytes, 'hex')
  const { length } = bytes
  chunk.set(bytes)
  letGo(bytes)
  letGo(stored)
  return { hash, length }
}

function inflate(stored: Buffer): Uint8Array {
  const isZstd = stored.length >= 4 && stored.readUInt32LE() === ZSTD_MAGIC
  return isZstd ? zstdDecompressSync(stored, UNZSTD_OPTIONS) : gunzipSync(stored, INFLATE_OPTIONS)
}

parentPort?.on('message', (job: ChunkJob) => parentPort?.postMessage(answer(job)))
