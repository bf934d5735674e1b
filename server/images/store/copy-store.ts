import pLimit from 'p-limit'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { isForm } from './chunk-file.ts'
import {
  ChunkCorruptError,
  type ChunkForm,
  ChunkMissingError,
  type ChunkStore,
  type ListedChunk,
  PREFIXES,
  type StoredChunk,
} from './chunk-store.ts'
import { ChunkRefusedError, contentHash } from './chunk-threads.ts'

export interface CopyOptions {
  from: ChunkStore
  to: ChunkStore
  /** Also read back what is there already, and bring it anew if it is not what its hash says. */
  verify: boolean
  /** How many of the 256 prefixes an earlier copy is done with. */
  position?: number
  signal: AbortSignal
  /** Called after each chunk. */
  onProgress: (progress: CopyProgress) => Promise<void> | void
}

/** Figures of this copy, from `position` on. */
export interface CopyProgress {
  position: number
  seenChunks: number
  copiedChunks: number
  copiedBytes: number
  /** Neither copied nor known to anybody else: they are damaged where they come from. */
  damagedChunks: number
}

/** Enough that a distant store is kept busy; each holds a chunk in memory. */
const COPIED_AT_ONCE = 16
/** Chunks whose turn is to come. */
const QUEUED = 64

/**
 * Brings to one store what it lacks of another, while both are in use. Every chunk is hashed before
 * it is put. One that is there in another form is replaced, for images say how long their chunks are.
 */
export async function copyStore(options: CopyOptions): Promise<CopyProgress> {
  const { from, to, onProgress } = options
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const limit = pLimit(COPIED_AT_ONCE)
  const buffers: Uint8Array<SharedArrayBuffer>[] = []
  const progress: CopyProgress = {
    position: options.position ?? 0,
    seenChunks: 0,
    copiedChunks: 0,
    copiedBytes: 0,
    damagedChunks: 0,
  }

  async function withBuffer<Result>(
    work: (buffer: Uint8Array<SharedArrayBuffer>) => Promise<Result>,
  ): Promise<Result> {
    const buffer = buffers.pop() ?? new Uint8Array(new SharedArrayBuffer(LONGEST_STORED_BYTES))
    try {
      return await work(buffer)
    } finally {
      buffers.push(buffer)
    }
  }

  async function copyChunk(chunk: ListedChunk, there: ListedChunk | undefined): Promise<void> {
    signal.throwIfAborted()
    await withBuffer(async (buffer) => {
      const isSame = there?.storedBytes === chunk.storedBytes
      const isRotten = isSame && options.verify && !(await isWhole(to, chunk.hash, buffer))
      if (isRotten) await to.quarantine(chunk.hash)
      const lacking = isRotten ? chunk.replaced : formsLacking(chunk, there)
      if (!isSame || isRotten || lacking.length > 0) await bring(chunk.hash, lacking, buffer)
    })
    progress.seenChunks++
  }

  /** What takes the place of an earlier form keeps it readable, here as there. */
  async function bring(
    hash: Sha256,
    earlier: readonly ChunkForm[],
    buffer: Uint8Array<SharedArrayBuffer>,
  ): Promise<void> {
    for (const form of [...earlier, undefined]) {
      const stored = await readWhole(from, hash, buffer, form).catch((err: unknown) => {
        if (!isDamage(err)) throw err
        if (!form) progress.damagedChunks++
        return undefined
      })
      if (!stored || (form && !isForm(stored.bytes, form))) continue
      if (!(await to.replace(hash, stored.bytes))) await to.putIfAbsent(hash, stored.bytes)
      progress.copiedBytes += stored.bytes.length
      if (!form) progress.copiedChunks++
    }
  }

  /** Both lists come in the order of the hashes, so one pass through each is enough. */
  async function copyPart(prefix: string): Promise<void> {
    const present = to.list(prefix)[Symbol.asyncIterator]()
    let there = await present.next()
    const copying = new Map<Promise<void>, number>()
    try {
      for await (const chunk of from.list(prefix)) {
        while (!there.done && there.value.hash < chunk.hash) there = await present.next()
        const same = !there.done && there.value.hash === chunk.hash ? there.value : undefined
        const done: Promise<void> = limit(() => copyChunk(chunk, same)).then(async () => {
          copying.delete(done)
          // Of what is being copied, the first; nothing before it is left.
          progress.position = copying.values().next().value ?? prefixOf(chunk.hash)
          await onProgress({ ...progress })
        })
        copying.set(done, prefixOf(chunk.hash))
        // Awaited below, or here; whichever comes first tells of an error.
        done.catch(() => {})
        if (copying.size >= QUEUED) await Promise.race(copying.keys())
      }
      await Promise.all(copying.keys())
    } catch (err) {
      // Whoever asked may close both stores once they are told.
      failure.abort(err)
      await Promise.allSettled(copying.keys())
      throw err
    }
  }

  const first = options.position ?? 0
  for (const prefix of first === 0 ? [''] : PREFIXES.slice(first)) await copyPart(prefix)
  await to.flush()
  return { ...progress, position: PREFIXES.length }
}

function prefixOf(hash: Sha256): number {
  return Number.parseInt(hash.slice(0, 2), 16)
}

/** Those of the chunk that cannot be read there. */
function formsLacking(chunk: ListedChunk, there: ListedChunk | undefined): ChunkForm[] {
  const known = there ? [...there.replaced, there] : []
  return chunk.replaced.filter(
    (form) =>
      !known.some(
        ({ codec = form.codec, storedBytes }) =>
          codec === form.codec && storedBytes === form.storedBytes,
      ),
  )
}

/** Undefined if it is gone by now. Throws what `isDamage` knows if it is not what its hash says. */
async function readWhole(
  store: ChunkStore,
  hash: Sha256,
  buffer: Uint8Array<SharedArrayBuffer>,
  form?: ChunkForm,
): Promise<StoredChunk | undefined> {
  const stored = await store.read(hash, buffer, form && { form }).catch((err: unknown) => {
    if (err instanceof ChunkMissingError) return undefined
    throw err
  })
  if (!stored) return undefined
  // A store may answer from elsewhere than the buffer.
  if (stored.bytes.buffer !== buffer.buffer) buffer.set(stored.bytes)
  const bytes = buffer.subarray(0, stored.bytes.length)
  const actual = await contentHash(bytes)
  if (actual !== hash) throw new ChunkCorruptError(hash, `its content has the hash ${actual}`)
  return { codec: stored.codec, bytes }
}

async function isWhole(
  store: ChunkStore,
  hash: Sha256,
  buffer: Uint8Array<SharedArrayBuffer>,
): Promise<boolean> {
  try {
    return (await readWhole(store, hash, buffer)) !== undefined
  } catch (err) {
    if (isDamage(err)) return false
    throw err
  }
}

function isDamage(err: unknown): boolean {
  return err instanceof ChunkCorruptError || err instanceof ChunkRefusedError
}
