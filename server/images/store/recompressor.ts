import { Worker } from 'node:worker_threads'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Codec, StoredChunk } from './chunk-store.ts'

/**
 * Measured on chunks of /usr, against what captures and imports store at first: zstd 19 takes 16 %
 * off level 3 (17: 12 %, 15: 7 %) in half a second a chunk; gzip 6 takes 8 % off level 1, and 9 no
 * more than that in eight times as long. A codec is never changed: who loads a `.img.gz` would get
 * chunks of zstd inflated.
 */
export const RECOMPRESS_LEVELS: Record<Codec, number> = { gzip: 6, zstd: 19 }
/** Chunks that were tried at these are not tried again. */
export const RECOMPRESS_LEVEL = Object.entries(RECOMPRESS_LEVELS).flat().join('-')

export type RecompressRequest = StoredChunk & { hash: Sha256 }
export type RecompressAnswer =
  | { kind: 'smaller'; bytes: Uint8Array }
  | { kind: 'kept' }
  /** It is not what its hash says. */
  | { kind: 'damaged'; reason: string }
  /** It is whole, but what was made of it is not: a bug of a library, or of this computer. */
  | { kind: 'failed'; reason: string }

const WORKER = new URL('recompress-worker.ts', import.meta.url)

interface Started {
  worker: Worker
  /** It has loaded its libraries; koffi aborts the process if its thread is ended in the middle. */
  loaded: Promise<unknown>
}

function start(): Started {
  const worker = new Worker(WORKER)
  const { promise, resolve } = Promise.withResolvers<unknown>()
  worker.once('message', resolve).once('error', resolve).once('exit', resolve)
  return { worker, loaded: promise }
}

/** One thread of the lowest priority; started when there is work, and gone as soon as there is to be none. */
export class Recompressor implements AsyncDisposable {
  #started: Started | undefined

  /** Throws if `stop` was called meanwhile. One at a time. */
  async recompress(hash: Sha256, { codec, bytes }: StoredChunk): Promise<RecompressAnswer> {
    const started = (this.#started ??= start())
    const { worker, loaded } = started
    const answer = Promise.withResolvers<RecompressAnswer>()
    const fail = (err: unknown) =>
      answer.reject(err instanceof Error ? err : new Error(String(err)))
    const end = () => fail(new Error('The thread that compresses was stopped'))
    worker.once('error', fail).once('exit', end)
    try {
      await Promise.race([loaded, answer.promise])
      worker.once('message', answer.resolve)
      const request: RecompressRequest = { hash, codec, bytes }
      worker.postMessage(request)
      return await answer.promise
    } catch (err) {
      if (this.#started === started) this.#started = undefined
      throw err
    } finally {
      worker.off('message', answer.resolve).off('error', fail).off('exit', end)
    }
  }

  async stop(): Promise<void> {
    const started = this.#started
    this.#started = undefined
    await started?.loaded
    await started?.worker.terminate()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
