import { setImmediate as nextTurn } from 'node:timers/promises'
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
/** Machines in step do not ask at the very same moment: what was sent is good for so long after. */
const KEPT_MILLISECONDS = 10
/** What is kept for that long, at most. */
const MAX_KEPT = 16

interface Entry {
  buffer: Buffer<SharedArrayBuffer>
  reading: Promise<StoredChunk>
  users: number
  gathering: Promise<void> | undefined
}

/** Longer than any chunk, as it is stored or in an export. */
export function createReadBuffer(): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(BUFFER_BYTES))
}

/**
 * Reads for answers. Machines that boot together ask for the same chunks within milliseconds: while one
 * of them is being sent a chunk, and a moment longer, the others get it from the same memory. Nothing
 * is kept beyond that, so whoever reads finds what the store holds. Memory is used again, because a MiB
 * of new memory for each chunk has V8 collect garbage all the time.
 */
export function createSharedReads(
  store: Pick<ChunkStore, 'read'>,
  { keptMilliseconds = KEPT_MILLISECONDS } = {},
): SharedReads {
  const entries = new Map<string, Entry>()
  /** Those of `entries` that nobody uses, and when that began; the oldest first. */
  const kept = new Map<string, number>()
  const free: Buffer<SharedArrayBuffer>[] = []
  let timer: NodeJS.Timeout | undefined

  function find(key: string): Entry | undefined {
    dropOld()
    kept.delete(key)
    return entries.get(key)
  }

  function open(key: string, hash: Sha256, form: ChunkForm | undefined): Entry {
    const buffer = free.pop() ?? createReadBuffer()
    // Whoever names a form is an export, which reads ahead: there the pool works beside this thread.
    const reading = store.read(hash, buffer, form ? { form } : { isUrgent: true })
    const entry: Entry = { buffer, reading, users: 0, gathering: undefined }
    entry.gathering = gather(entry)
    entries.set(key, entry)
    return entry
  }

  function release(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    kept.set(key, performance.now())
    dropOld()
  }

  function dropOld(): void {
    const now = performance.now()
    for (const [key, since] of kept) {
      if (kept.size <= MAX_KEPT && now - since < keptMilliseconds) break
      drop(key)
    }
    if (kept.size > 0) timer ??= setTimeout(onTimer, keptMilliseconds).unref()
  }

  function onTimer(): void {
    timer = undefined
    dropOld()
  }

  function drop(key: string): void {
    const { buffer } = entries.get(key)!
    entries.delete(key)
    kept.delete(key)
    if (free.length < MAX_FREE) free.push(buffer)
  }

  return {
    async read(hash, form) {
      const key = form ? `${hash} ${form.codec} ${form.storedBytes}` : hash
      const entry = find(key) ?? open(key, hash, form)
      entry.users++
      try {
        const { codec, bytes } = await entry.reading
        await entry.gathering
        return {
          codec,
          bytes: entry.buffer.subarray(0, bytes.length),
          release: () => release(key, entry),
        }
      } catch (err) {
        entry.users--
        if (entry.users === 0) drop(key)
        throw err
      }
    },
  }
}

/**
 * Ends once a turn of the event loop has brought nobody else who wants the same. Answers that begin
 * together are written one after the other, which costs fewer switches between programs than each
 * on its own as requests come; for one client alone it is a turn in which nothing waits.
 */
async function gather(entry: Entry): Promise<void> {
  let users: number
  do {
    users = entry.users
    await nextTurn()
  } while (entry.users > Math.max(users, 1))
}
