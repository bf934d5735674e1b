import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { encodeHex } from '#protocol/hex.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { inflateMember, isGzip, storedMember } from '../codec/gzip-member.ts'
import { plainFrame } from '../codec/plain-frame.ts'
import { inflateFrame, isZstd } from '../codec/zstd-frame.ts'
import { ChunkCorruptError, type ChunkStore, type Codec, type StoredChunk } from './chunk-store.ts'

const gzipAsync = promisify(gzip)

/** Of the levels, the one that keeps up with a disk; see design.md §4 for what was measured. */
const GZIP_LEVEL = 1
/** Fewer turns of the thread pool than with the usual 16 KiB, without a MiB for each small chunk. */
const GZIP_OUTPUT_BYTES = 262_144

/** On libuv's thread pool, unlike `createHash`. */
export async function hashChunk(content: Uint8Array): Promise<Sha256> {
  const hash = await crypto.subtle.digest('SHA-256', content as Uint8Array<ArrayBuffer>)
  return parseSha256(encodeHex(new Uint8Array(hash)))
}

/** The form in which a chunk is stored. */
export function compressChunk(content: Uint8Array): Promise<Uint8Array> {
  return gzipAsync(content, { level: GZIP_LEVEL, chunkSize: GZIP_OUTPUT_BYTES })
}

/**
 * Content as a codec holds it uncompressed, so that the length follows from that of the content alone: in
 * new memory, or at the start of `target`.
 */
export function wrapPlain(codec: Codec, content: Uint8Array, target?: Uint8Array): Uint8Array {
  switch (codec) {
    case 'gzip':
      return storedMember(content, target)
    case 'zstd':
      return plainFrame(content, target)
  }
}

/** How a chunk is compressed, by its first bytes; undefined: in no way that we know. */
export function codecOf(bytes: Uint8Array): Codec | undefined {
  if (isGzip(bytes)) return 'gzip'
  return isZstd(bytes) ? 'zstd' : undefined
}

/** Content of a stored chunk, not yet compared with its hash. Throws what the codec throws. */
export function inflateChunk({ codec, bytes }: StoredChunk): Promise<Uint8Array> {
  switch (codec) {
    case 'gzip':
      return inflateMember(bytes)
    case 'zstd':
      return inflateFrame(bytes)
  }
}

/** The content under `hash`, verified. Throws as `ChunkStore.read` does. */
export async function readContent(store: ChunkStore, hash: Sha256): Promise<Uint8Array> {
  return await verifiedContent(hash, await store.read(hash))
}

/** The content of a chunk that was read. Throws ChunkCorruptError if it is not that of `hash`. */
export async function verifiedContent(hash: Sha256, stored: StoredChunk): Promise<Uint8Array> {
  const content = await inflateChunk(stored).catch((cause: unknown) => {
    throw new ChunkCorruptError(hash, (cause as Error).message, { cause })
  })
  if ((await hashChunk(content)) !== hash)
    throw new ChunkCorruptError(hash, 'its content has another hash')
  return content
}

/** Whether bytes as they are stored are the chunk `hash`. */
export async function isContentOf(hash: Sha256, bytes: Uint8Array): Promise<boolean> {
  const codec = codecOf(bytes)
  if (!codec) return false
  return await verifiedContent(hash, { codec, bytes }).then(
    () => true,
    () => false,
  )
}
