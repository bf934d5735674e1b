import { setImmediate as nextTurn } from 'node:timers/promises'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
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
  /**
   * Throws as `ChunkStore.read` does. `reader` is who asks, the same object each time: with one reader
   * alone there is nobody to share with, and nothing is kept or waited for.
   */
  read(hash: Sha256, options?: SharedReadOptions): Promise<HeldChunk>
}

export interface SharedReadOptions {
  form?: ChunkForm
  reader?: object
}

/** Of buffers that nobody uses; how many are in use is up to those who read. */
const MAX_FREE = 64
/** Machines in step do not ask at the very same moment: what was sent is good for so long after. */
const KEPT_MILLISECONDS = 10
/** What is kept for that long, at most. */
const MAX_KEPT = 16
/** Who was the only one for this long is alone. */
const ALONE_MILLISECONDS = 50

interface Entry {
  isShared: boolean
  buffer: Buffer<SharedArrayBuffer>
  reading: Promise<StoredChunk>
  users: number
  gathering: Promise<void> | undefined
}

/** Longer than any chunk, as it is stored or in an export. */
export function createReadBuffer(): Buffer<SharedArrayBuffer> {
  return Buffer.from(new SharedArrayBuffer(LONGEST_STORED_BYTES))
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
  const isAlone = createSolitude()

  function find(key: string): Entry | undefined {
    dropOld()
    kept.delete(key)
    return entries.get(key)
  }

  function open(key: string, hash: Sha256, form: ChunkForm | undefined, isShared: boolean): Entry {
    const buffer = free.pop() ?? createReadBuffer()
    // Whoever names a form is an export, which reads ahead: there the pool works beside this thread.
    const reading = store.read(hash, buffer, form ? { form } : { isUrgent: true })
    const entry: Entry = { isShared, buffer, reading, users: 0, gathering: undefined }
    if (isShared) entry.gathering = gather(entry)
    entries.set(key, entry)
    return entry
  }

  function release(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    // The next chunk then goes through the same memory, which the processor's caches still hold.
    if (!entry.isShared) return drop(key)
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
    async read(hash, { form, reader } = {}) {
      const key = form ? `${hash} ${form.codec} ${form.storedBytes}` : hash
      const isShared = !isAlone(reader)
      const entry = find(key) ?? open(key, hash, form, isShared)
      entry.isShared ||= isShared
      entry.users++
      try {
        const { codec, bytes } = await entry.reading
        if (entry.gathering) await entry.gathering
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

/** Whether a reader has been the only one for a while. */
function createSolitude(): (reader: object | undefined) => boolean {
  let last: WeakRef<object> | undefined
  let since = 0
  return (reader) => {
    const now = performance.now()
    if (reader === undefined || last?.deref() !== reader) {
      last = reader && new WeakRef(reader)
      since = now
    }
    return now - since >= ALONE_MILLISECONDS
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
