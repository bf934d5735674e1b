import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Sha256 } from '#protocol/sha256.ts'
import { ChunkCorruptError, type Codec, type StoredSize } from './chunk-store.ts'

/**
 * Looks into chunks, and after their files, in threads of their own. Each MiB of content is a reason
 * for V8 to collect garbage: over the heap of the whole server that costs more than the inflating
 * itself, over the small one of such a thread next to nothing. And a thread that may wait for a
 * file needs one message where libuv's pool needs ten turns.
 */

/** What a thread is asked. Shared memory is not copied: it must stay as it is until the answer. */
export type ThreadRequest = { id: number } & (
  | { kind: 'hash'; stored: Uint8Array }
  /** The content is wrapped for exports of a codec, if it is that of `hash`. */
  | { kind: 'wrap'; stored: Uint8Array; codec: Codec; hash: Sha256; target: Uint8Array }
  | { kind: 'touch'; folder: string; hashes: readonly Sha256[] }
  | { kind: 'put'; folder: string; hash: Sha256; stored: Uint8Array }
  /** Put only if it is a chunk of that hash. */
  | { kind: 'verify-and-put'; folder: string; hash: Sha256; stored: Uint8Array }
)
export type ThreadAnswer = { id: number } & (
  | { hash: Sha256 }
  | { wrappedBytes: number }
  | { sizes: (StoredSize | undefined)[]; isStoreThere: boolean }
  | { isDone: true }
  /** Why it is no whole chunk, or not the one of `hash`. */
  | { refusal: string }
  /** What went wrong otherwise, with the code of a system call that failed. */
  | { failure: string; code: string | undefined }
)

/** What was sent is no whole gzip member or zstd frame of at most 1 MiB of content. */
export class ChunkRefusedError extends Error {
  override name = 'ChunkRefusedError'
}

/** One of them may wait for a file. */
const LEAST_THREADS = 2
const MAX_THREADS = 8
/** The kernel is asked once: that takes as long as a message. */
const MOST_THREADS = Math.min(Math.max(availableParallelism(), LEAST_THREADS), MAX_THREADS)
const WORKER = new URL('chunk-thread.ts', import.meta.url)

type Asked = PromiseWithResolvers<ThreadAnswer>
interface Thread {
  worker: Worker
  waiting: Map<number, Asked>
}

let threads: Thread[] = []
let lastId = 0

/** Of bytes in shared memory, or they are copied. Throws ChunkRefusedError. */
export async function contentHash(stored: Uint8Array): Promise<Sha256> {
  return hashIn(await ask({ kind: 'hash', stored }))
}

function hashIn(answer: ThreadAnswer): Sha256 {
  if ('refusal' in answer) throw new ChunkRefusedError(answer.refusal)
  if ('hash' in answer) return answer.hash
  throw failureOf(answer)
}

/**
 * Puts the content of `stored` into `target` as exports of a codec hold what is stored in another one,
 * and returns how many bytes that are. Both lie in shared memory. Throws ChunkCorruptError
 * if it is not the content of `hash`.
 */
export async function wrapContent(
  hash: Sha256,
  codec: Codec,
  stored: Uint8Array<SharedArrayBuffer>,
  target: Uint8Array<SharedArrayBuffer>,
): Promise<number> {
  const answer = await ask({ kind: 'wrap', codec, hash, stored, target })
  if ('refusal' in answer) throw new ChunkCorruptError(hash, answer.refusal)
  if ('wrappedBytes' in answer) return answer.wrappedBytes
  throw failureOf(answer)
}

/**
 * Sizes of chunks in a directory store, each touched. Without the store no chunk is there, and
 * yet none is lost: `isStoreThere` tells the two apart. Throws what system calls throw.
 */
export async function touchChunks(
  folder: string,
  hashes: readonly Sha256[],
): Promise<{ sizes: (StoredSize | undefined)[]; isStoreThere: boolean }> {
  const answer = await ask({ kind: 'touch', folder, hashes })
  if ('sizes' in answer) return answer
  throw failureOf(answer)
}

/** Puts a chunk into a directory store unless it is there. Throws what system calls throw. */
export async function putChunk(folder: string, hash: Sha256, stored: Uint8Array): Promise<void> {
  const answer = await ask({ kind: 'put', folder, hash, stored })
  if (!('isDone' in answer)) throw failureOf(answer)
}

/**
 * As `putChunk`, if the content has that hash; returns the hash that it has. All in one message: each
 * costs both threads more than storing does. Throws ChunkRefusedError, too.
 */
export async function verifyAndPutChunk(
  folder: string,
  hash: Sha256,
  stored: Uint8Array,
): Promise<Sha256> {
  return hashIn(await ask({ kind: 'verify-and-put', folder, hash, stored }))
}

function failureOf(answer: ThreadAnswer): Error {
  if (!('failure' in answer)) return new Error(`A thread answered ${JSON.stringify(answer)}`)
  const { failure, code } = answer
  return Object.assign(new Error(failure), code !== undefined && { code })
}

type Unnumbered<Request> = Request extends unknown ? Omit<Request, 'id'> : never

async function ask(request: Unnumbered<ThreadRequest>): Promise<ThreadAnswer> {
  const { worker, waiting } = chooseThread()
  const id = ++lastId
  const answer = Promise.withResolvers<ThreadAnswer>()
  waiting.set(id, answer)
  worker.postMessage({ ...request, id })
  return await answer.promise
}

/** Another one is started once all have work. */
function chooseThread(): Thread {
  const [least] = threads.toSorted((a, b) => a.waiting.size - b.waiting.size)
  if (least && (least.waiting.size === 0 || threads.length >= MOST_THREADS)) return least
  const started = startThread()
  threads.push(started)
  return started
}

function startThread(): Thread {
  const worker = new Worker(WORKER)
  const started: Thread = { worker, waiting: new Map() }
  const stop = (reason: Error) => {
    threads = threads.filter((each) => each !== started)
    for (const { reject } of started.waiting.values()) reject(reason)
    started.waiting.clear()
  }
  worker.on('message', (answer: ThreadAnswer) => {
    const asked = started.waiting.get(answer.id)
    started.waiting.delete(answer.id)
    asked?.resolve(answer)
  })
  worker.on('error', (err) => stop(err instanceof Error ? err : new Error(String(err))))
  worker.on('exit', (code) =>
    stop(new Error(`A thread that looks after chunks ended with ${code}`)),
  )
  // It waits for work for ever, which must not keep the process.
  worker.unref()
  return started
}
