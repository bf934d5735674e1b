import type { Sha256 } from '#protocol/sha256.ts'
import type { Codec } from '../store/chunk-store.ts'
import { wrapContent } from '../store/chunk-threads.ts'
import { createReadBuffer, type HeldBytes, type HeldChunk } from '../store/shared-reads.ts'

/** Chunks as exports hold what is stored in another codec than theirs. */
export interface WrappedChunks {
  /** Takes over `stored`. Throws ChunkCorruptError if it is not the chunk of this hash. */
  wrap(hash: Sha256, codec: Codec, stored: HeldChunk): Promise<HeldBytes>
}

/** Kept for the next who asks: with what they were made of, about 1.5 MiB each. */
const MAX_KEPT = 24

interface Entry {
  buffer: Buffer<SharedArrayBuffer>
  /** A copy, at the start of memory that is used again, too. */
  madeOf: Buffer
  making: Promise<number>
  users: number
}

/**
 * Inflating, hashing and wrapping a chunk takes twenty times as long as sending it. So machines that
 * fetch the same image at about the same time share the work. What is kept counts only as long as the
 * store still holds the very bytes that it was made of, which each caller brings along.
 */
export function createWrappedChunks(): WrappedChunks {
  /** Those used last come last. */
  const entries = new Map<string, Entry>()
  const free: Buffer<SharedArrayBuffer>[] = []
  const freeCopies: ArrayBufferLike[] = []

  function make(key: string, hash: Sha256, codec: Codec, stored: HeldChunk): Entry {
    const buffer = free.pop() ?? createReadBuffer()
    const making = wrapContent(hash, codec, stored.bytes, buffer)
    const copy = freeCopies.pop() ?? createReadBuffer().buffer
    const madeOf = Buffer.from(copy, 0, stored.bytes.length)
    madeOf.set(stored.bytes)
    const entry: Entry = { buffer, madeOf, making, users: 0 }
    entries.set(key, entry)
    making.catch(() => drop(key, entry))
    return entry
  }

  function drop(key: string, entry: Entry): void {
    if (entries.get(key) === entry) entries.delete(key)
  }

  function release(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    if (entries.get(key) !== entry) return forget(entry)
    for (const [other, unused] of entries) {
      if (entries.size <= MAX_KEPT) return
      if (unused.users > 0) continue
      entries.delete(other)
      forget(unused)
    }
  }

  /** Nobody compares with it or sends it any more. */
  function forget({ buffer, madeOf }: Entry): void {
    if (free.length >= MAX_KEPT) return
    free.push(buffer)
    freeCopies.push(madeOf.buffer)
  }

  return {
    async wrap(hash, codec, stored) {
      const key = `${hash} ${codec}`
      const kept = entries.get(key)
      const isSame = kept !== undefined && kept.madeOf.equals(stored.bytes)
      const entry = isSame ? kept : make(key, hash, codec, stored)
      entries.delete(key)
      entries.set(key, entry)
      entry.users++
      try {
        const length = await entry.making
        return { bytes: entry.buffer.subarray(0, length), release: () => release(key, entry) }
      } catch (err) {
        release(key, entry)
        throw err
      } finally {
        stored.release()
      }
    },
  }
}
