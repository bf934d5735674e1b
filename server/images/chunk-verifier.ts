import { Worker } from 'node:worker_threads'
import type { Sha256 } from '#protocol/sha256.ts'

/**
 * Tells the hash of a chunk's content in a thread of its own. Each MiB of content is a reason for V8
 * to collect garbage: over the heap of the whole server that costs more than the inflating itself,
 * over the small one of that thread next to nothing.
 */

/** What the thread is asked. `memory` is not copied: it must stay as it is until the answer. */
export type VerifyRequest = { id: number; memory: SharedArrayBuffer; length: number }
export type VerifyAnswer =
  | { id: number; hash: Sha256 }
  /** Why it is no whole chunk. */
  | { id: number; refusal: string }
  /** A fault of ours. */
  | { id: number; failure: string }

/** What was sent is no whole gzip member or zstd frame of at most 1 MiB of content. */
export class ChunkRefusedError extends Error {
  override name = 'ChunkRefusedError'
}

const WORKER = new URL('chunk-verifier-worker.ts', import.meta.url)

let thread: { worker: Worker; waiting: Map<number, PromiseWithResolvers<Sha256>> } | undefined
let lastId = 0

/** `bytes` must lie at the start of shared memory. Throws ChunkRefusedError. */
export async function contentHash(bytes: Uint8Array<SharedArrayBuffer>): Promise<Sha256> {
  const { worker, waiting } = (thread ??= startThread())
  const id = ++lastId
  const answer = Promise.withResolvers<Sha256>()
  waiting.set(id, answer)
  const request: VerifyRequest = { id, memory: bytes.buffer, length: bytes.length }
  worker.postMessage(request)
  return await answer.promise
}

function startThread() {
  const worker = new Worker(WORKER)
  const started = { worker, waiting: new Map<number, PromiseWithResolvers<Sha256>>() }
  const stop = (reason: Error) => {
    if (thread === started) thread = undefined
    for (const { reject } of started.waiting.values()) reject(reason)
    started.waiting.clear()
  }
  worker.on('message', (answer: VerifyAnswer) => {
    const asked = started.waiting.get(answer.id)
    started.waiting.delete(answer.id)
    if ('hash' in answer) asked?.resolve(answer.hash)
    else if ('refusal' in answer) asked?.reject(new ChunkRefusedError(answer.refusal))
    else asked?.reject(new Error(`A chunk could not be verified: ${answer.failure}`))
  })
  worker.on('error', (err) => stop(err instanceof Error ? err : new Error(String(err))))
  worker.on('exit', (code) => stop(new Error(`The thread that verifies chunks ended with ${code}`)))
  // It waits for work for ever, which must not keep the process.
  worker.unref()
  return started
}
