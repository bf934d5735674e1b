import { CHUNK_BYTES } from '#protocol/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkForm, ChunkStore, Codec, StoredChunk } from './chunk-store.ts'

/** Bytes in memory that is used again: nobody may look at them after `release`. */
export interface HeldBytes {
  bytes: Uint8Array
  /** Once, by everyone who was given them. */
  release: () => void
}

/** A chunk as it is stored, at the start of memory that threads can share. */
export interface HeldChunk extends HeldBytes {
  codec: Codec
  bytes: Buffer<SharedArrayBuffer>
}

export interface SharedReads {
  /** Throws as `ChunkStore.read` does. */
  read(hash: Sha256, form?: ChunkForm): Promise<HeldChunk>
}

const BUFFER_BYTES = CHUNK_BYTES + 65_536
/** Of buffers that nobody uses; how many are in use is up to those who read. */
const MAX_FREE = 64

interface Entry {
  buffer: Buffer<SharedArrayBuffer>
  reading: Promise<StoredChunk>
  users: number
}

/** Longer than any chunk, as it is stored or in an export. */
export function createReadBuffer(): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(BUFFER_BYTES))
}

/**
 * Reads for answers. Machines that boot together ask for the same chunks within milliseconds: as long
 * as one of them is being sent a chunk, the others get it from the same memory. Nothing is kept
 * beyond that, so whoever reads finds what the store holds. Memory is used again, because a MiB of
 * new memory for each chunk has V8 collect garbage all the time.
 */
export function createSharedReads(store: Pick<ChunkStore, 'read'>): SharedReads {
  const entries = new Map<string, Entry>()
  const free: Buffer<SharedArrayBuffer>[] = []

  function open(key: string, hash: Sha256, form: ChunkForm | undefined): Entry {
    const buffer = free.pop() ?? createReadBuffer()
    const reading = store.read(hash, buffer, form && { form })
    const entry: Entry = { buffer, reading, users: 0 }
    entries.set(key, entry)
    return entry
  }

  function release(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    if (entries.get(key) === entry) entries.delete(key)
    if (free.length < MAX_FREE) free.push(entry.buffer)
  }

  return {
    async read(hash, form) {
      const key = form ? `${hash} ${form.codec} ${form.storedBytes}` : hash
      const entry = entries.get(key) ?? open(key, hash, form)
      entry.users++
      try {
        const { codec, bytes } = await entry.reading
        return {
          codec,
          bytes: entry.buffer.subarray(0, bytes.length),
          release: () => release(key, entry),
        }
      } catch (err) {
        release(key, entry)
        throw err
      }
    },
  }
}
