import type { Sha256 } from '#protocol/sha256.ts'

export type Codec = 'gzip' | 'zstd'

export type StoredChunk = { codec: Codec; bytes: Uint8Array }

/** What the store knows of a chunk without inflating it. */
export type StoredSize = { codec: Codec; storedBytes: number; contentBytes: number }

export type Sweep = {
  /** Two hexadecimal digits: only chunks whose hash begins so. */
  prefix: string
  isLive: (hash: Sha256) => boolean
  /** Chunks put or touched at this moment or later stay. */
  cutoff: Date
}

/** Where chunks live: one gzip member or zstd frame each, under the hash of its content. */
export interface ChunkStore {
  /**
   * Which of `hashes` are here. These are touched: no sweep whose cutoff lies before now removes
   * them. A file that cannot be a whole chunk counts as absent.
   */
  touch(hashes: readonly Sha256[]): Promise<Map<Sha256, StoredSize>>
  /**
   * The stored bytes, in `buffer` if one is given that is longer than any chunk. Throws
   * ChunkMissingError, ChunkCorruptError or StoreUnreachableError.
   */
  read(hash: Sha256, buffer?: Uint8Array): Promise<StoredChunk>
  /**
   * Stores all of `bytes` or nothing; a chunk that is already here is left as it is, and touched.
   * Throws StoreFullError or StoreUnreachableError.
   */
  putIfAbsent(hash: Sha256, bytes: Uint8Array): Promise<void>
  /** Removes what is neither live nor touched since the cutoff; how many chunks that were. */
  sweep(sweep: Sweep): Promise<number>
  /** Resolves when all that was put before the call survives a power failure. */
  flush(): Promise<void>
}

/** The store works but has no such chunk. */
export class ChunkMissingError extends Error {
  override name = 'ChunkMissingError'
  readonly hash: Sha256
  constructor(hash: Sha256, options?: ErrorOptions) {
    super(`The chunk store has no chunk "${hash}"`, options)
    this.hash = hash
  }
}

/** The store has something under this hash, but not the chunk. */
export class ChunkCorruptError extends Error {
  override name = 'ChunkCorruptError'
  readonly hash: Sha256
  constructor(hash: Sha256, reason: string, options?: ErrorOptions) {
    super(`Chunk "${hash}" in the store is damaged: ${reason}`, options)
    this.hash = hash
  }
}

/** The store does not answer; whether the chunk is there is unknown. */
export class StoreUnreachableError extends Error {
  override name = 'StoreUnreachableError'
}

export class StoreFullError extends Error {
  override name = 'StoreFullError'
}
