import type { Sha256 } from '#protocol/sha256.ts'

export type Codec = 'gzip' | 'zstd'

export type StoredChunk = { codec: Codec; bytes: Uint8Array }

/** What the store knows of a chunk without inflating it. */
export type StoredSize = { codec: Codec; storedBytes: number; contentBytes: number }

/** One of the ways in which the content of a chunk is, or was, stored. */
export type ChunkForm = { codec: Codec; storedBytes: number }

export type ReadOptions = {
  /** This form, even if it was replaced since; if there is none such, what is there now. */
  form?: ChunkForm
  /** Past every cache between us and the medium, as far as that can be had. */
  fromMedium?: boolean
  /** Somebody waits for this chunk alone: what is in memory is copied at once, on this thread. */
  isUrgent?: boolean
}

export type ListedChunk = {
  hash: Sha256
  storedBytes: number
  /** Absent where it takes a request to tell, except for chunks that had other forms before. */
  codec?: Codec
  /** When it was put or last touched. */
  touchedAt: Date
  /** Forms that it had before and that can still be read. */
  replaced: ChunkForm[]
}

export type Sweep = {
  /** Two hexadecimal digits: only chunks whose hash begins so. */
  prefix: string
  isLive: (hash: Sha256) => boolean
  /** Chunks put or touched at this moment or later stay. */
  cutoff: Date
  /** Forms that were replaced before this moment go; absent: all of them stay. */
  replacedCutoff?: Date | undefined
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
  read(hash: Sha256, buffer?: Uint8Array, options?: ReadOptions): Promise<StoredChunk>
  /**
   * Stores all of `bytes` or nothing; a chunk that is already here is left as it is, and touched.
   * Throws StoreFullError or StoreUnreachableError.
   */
  putIfAbsent(hash: Sha256, bytes: Uint8Array): Promise<void>
  /**
   * The same of bytes that nobody has looked into: nothing is stored unless their content has that hash.
   * Returns the hash that it has. Throws ChunkRefusedError, too. Absent where nothing is won by doing both
   * in one: see `verifyAndPut`.
   */
  putIfRight?(hash: Sha256, bytes: Uint8Array): Promise<Sha256>
  /**
   * Stores other bytes of the same content in place of those that are there; false if none are. At
   * every moment one of the two is there, whole, whatever fails. The old form stays readable by
   * `ReadOptions.form` until a sweep takes it.
   */
  replace(hash: Sha256, bytes: Uint8Array): Promise<boolean>
  /**
   * From here on a damaged chunk counts as absent. Its bytes are kept aside, if there is room, for whoever looks into it, and
   * never swept. False if there is none, or if what is there by now is whole: that stays.
   */
  quarantine(hash: Sha256): Promise<boolean>
  /**
   * Chunks whose hash begins with the prefix (none or an even number of digits), in the order of
   * their hashes. One that is put or removed meanwhile may be listed or not.
   */
  list(prefix: string): AsyncIterable<ListedChunk>
  /**
   * A URL that answers the stored bytes of the chunk to whoever has it, for so long; whether it is
   * here, only the answer tells. Absent if nobody but us can reach the store.
   */
  presign?(hash: Sha256, seconds: number): Promise<string>
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

/** It is rotten or gone: until somebody brings it again, its images lack it. */
export function isLost(err: unknown): err is ChunkMissingError | ChunkCorruptError {
  return err instanceof ChunkMissingError || err instanceof ChunkCorruptError
}

/** For `catch` where a lost chunk is an answer: undefined. Throws everything else. */
export function ifLost(err: unknown): undefined {
  if (!isLost(err)) throw err
  return undefined
}

/** The store does not answer; whether the chunk is there is unknown. */
export class StoreUnreachableError extends Error {
  override name = 'StoreUnreachableError'
}

export class StoreFullError extends Error {
  override name = 'StoreFullError'
}

/** All that a hash can begin with, two digits each: what sweeps and lists go through one by one. */
export const PREFIXES: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)
