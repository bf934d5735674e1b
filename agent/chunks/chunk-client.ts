import type { Manifest } from '#protocol/image/image.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/**
 * The image routes as the agent uses them. Every call waits for a server that is away and tries
 * again; what comes back has been checked against the hash that named it.
 */
export interface ChunkClient {
  /**
   * Throws ChunkMissingError if the server has no such image, and if it is asked for to be written,
   * ImageDamagedError if the server lacks chunks of it.
   */
  manifest(
    digest: Sha256,
    signal: AbortSignal,
    options?: { isToBeWritten?: boolean },
  ): Promise<Manifest>
  /** The uncompressed bytes. Throws ChunkMissingError or ChunkCorruptError. */
  read(hash: Sha256, signal: AbortSignal): Promise<Uint8Array>
  /**
   * Leaves the uncompressed bytes at the start of `chunk`, a buffer of withChunkBuffer, and returns
   * their number. After an error the buffer may hold anything.
   */
  readInto(hash: Sha256, chunk: Buffer, signal: AbortSignal): Promise<number>
  /** Those of `hashes` (any number) that the server lacks. */
  missing(hashes: readonly Sha256[], signal: AbortSignal): Promise<Set<Sha256>>
  /** Sends `bytes`, one gzip member or zstd frame. */
  put(hash: Sha256, bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** The image appears with this call, whole. Throws ImageIncompleteError naming missing chunks. */
  commit(name: string, image: NewImage, signal: AbortSignal): Promise<void>
  /** Of chunks and manifests that were read so far, as they came over the network. */
  bytesFetched(): number
}

export interface NewImage {
  manifest: Uint8Array
  info: ImageInfo
}

export class ChunkMissingError extends Error {
  override name = 'ChunkMissingError'
}

export class ChunkCorruptError extends Error {
  override name = 'ChunkCorruptError'
}

/** Its store has lost a part of the image. */
export class ImageDamagedError extends Error {
  override name = 'ImageDamagedError'
}

export class ImageIncompleteError extends Error {
  override name = 'ImageIncompleteError'
  readonly missing: Sha256[]

  constructor(message: string, missing: Sha256[]) {
    super(message)
    this.missing = missing
  }
}
