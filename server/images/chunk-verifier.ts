import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Sha256 } from '#protocol/sha256.ts'
import { ChunkCorruptError, type Codec } from './chunk-store.ts'

/**
 * Looks into chunks in threads of their own. Each MiB of content is a reason for V8
 * to collect garbage: over the heap of the whole server that costs more than the inflating itself,
 * over the small one of such a thread next to nothing.
 */

/** What a thread is asked. Memory is not copied: it must stay as it is until the answer. */
export type VerifyRequest = { id: number; memory: SharedArrayBuffer; length: number } & (
  | { kind: 'hash' }
  /** The content is wrapped for exports of a codec, if it is that of `hash`. */
  | { kind: 'wrap'; codec: Codec; hash: Sha256; target: SharedArrayBuffer }
)
export type VerifyAnswer = { id: number } & (
  | { hash: Sha256 }
  | { wrappedBytes: number }
  /** Why it is no whole chunk, or not the one of `hash`. */
  | { refusal: string }
  /** A fault of ours. */
  | { failure: string }
)

/** What was sent is no whole gzip member or zstd frame of at most 1 MiB of content. */
export class ChunkRefusedError extends Error {
  override name = 'ChunkRefusedError'
}

/** Inflating is done by libuv's threads; these hash, which takes less. */
const MAX_THREADS = 4
const WORKER = new URL('chunk-verifier-worker.ts', import.meta.url)

type Asked = PromiseWithResolvers<VerifyAnswer>
interface Thread {
  worker: Worker
  waiting: Map<number, Asked>
}

let threads: Thread[] = []
let lastId = 0

/** `bytes` must lie at the start of shared memory. Throws ChunkRefusedError. */
export async function contentHash(bytes: Uint8Array<SharedArrayBuffer>): Promise<Sha256> {
  const answer = await ask({ kind: 'hash', memory: bytes.buffer, length: bytes.length })
  if ('refusal' in answer) throw new ChunkRefusedError(answer.refusal)
  if ('hash' in answer) return answer.hash
  throw new Error(`A chunk could not be verified: ${JSON.stringify(answer)}`)
}

/**
 * Puts the content of `stored` into `target` as exports of a codec hold what is stored in another one,
 * and returns how many bytes that are. Both lie at the start of shared memory. Throws ChunkCorruptError
 * if it is not the content of `hash`.
 */
export async function wrapContent(
  hash: Sha256,
  codec: Codec,
  stored: Uint8Array<SharedArrayBuffer>,
  target: Uint8Array<SharedArrayBuffer>,
): Promise<number> {
  const { buffer: memory, length } = stored
  const answer = await ask({ kind: 'wrap', codec, hash, memory, length, target: target.buffer })
  if ('refusal' in answer) throw new ChunkCorruptError(hash, answer.refusal)
  if ('wrappedBytes' in answer) return answer.wrappedBytes
  throw new Error(`A chunk could not be wrapped: ${JSON.stringify(answer)}`)
}

type Unnumbered<Request> = Request extends unknown ? Omit<Request, 'id'> : never

async function ask(request: Unnumbered<VerifyRequest>): Promise<VerifyAnswer> {
  const { worker, waiting } = chooseThread()
  const id = ++lastId
  const answer = Promise.withResolvers<VerifyAnswer>()
  waiting.set(id, answer)
  worker.postMessage({ ...request, id })
  return await answer.promise
}

/** Another one is started once all have work. */
function chooseThread(): Thread {
  const [least] = threads.toSorted((a, b) => a.waiting.size - b.waiting.size)
  if (least && (least.waiting.size === 0 || threads.length >= mostThreads())) return least
  const started = startThread()
  threads.push(started)
  return started
}

function mostThreads(): number {
  return Math.min(availableParallelism(), MAX_THREADS)
}

function startThread(): Thread {
  const worker = new Worker(WORKER)
  const started: Thread = { worker, waiting: new Map() }
  const stop = (reason: Error) => {
    threads = threads.filter((each) => each !== started)
    for (const { reject } of started.waiting.values()) reject(reason)
    started.waiting.clear()
  }
  worker.on('message', (answer: VerifyAnswer) => {
    const asked = started.waiting.get(answer.id)
    started.waiting.delete(answer.id)
    asked?.resolve(answer)
  })
  worker.on('error', (err) => stop(err instanceof Error ? err : new Error(String(err))))
  worker.on('exit', (code) => stop(new Error(`The thread that verifies chunks ended with ${code}`)))
  // It waits for work for ever, which must not keep the process.
  worker.unref()
  return started
}
