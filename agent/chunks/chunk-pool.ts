import { availableParallelism, totalmem } from 'node:os'
import { Worker } from 'node:worker_threads'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ChunkCorruptError } from './chunk-client.ts'
import type { ChunkAnswer, ChunkJob } from './chunk-worker.ts'
import '../native-calls.ts' // makes the gate that threads find when they load a library

/** More than this and the network is what one waits for. */
const MAX_THREADS = 16
/** Each costs about 10 MB; an agent must do with 512 MB in all. */
const THREADS_OF_SMALL_MACHINE = 2
const SMALL_MACHINE_BYTES = 1024 ** 3

/** Of what is not measured. */
const USUAL_LEVEL = 3

/** The bundle has this thread's program beside the agent's own. */
const PROGRAM = import.meta.url.endsWith('.ts') ? './chunk-worker.ts' : './chunk-worker.mjs'

interface Thread {
  worker: Worker
  /** Answers come in the order of the jobs. */
  waiting: { resolve(answer: ChunkAnswer): void; reject(err: Error): void }[]
}

let threads: Thread[] | undefined

/** SHA-256 of a chunk in shared memory (`withChunkBuffer`), beside other work. */
export async function hashChunk(chunk: Uint8Array): Promise<Sha256> {
  const { hash } = await ask({ kind: 'hash', chunk })
  return parseSha256(hash!)
}

/**
 * Inflates one gzip member or zstd frame into a chunk in shared memory, and returns the hash and the
 * length of what it held. `stored` is the caller's no more. Throws ChunkCorruptError.
 */
export async function decodeChunk(
  stored: Uint8Array,
  chunk: Uint8Array,
): Promise<{ hash: Sha256; length: number }> {
  const { corrupt, hash, length } = await ask({ kind: 'decode', stored, chunk }, [stored])
  if (corrupt !== undefined) throw new ChunkCorruptError(corrupt)
  return { hash: parseSha256(hash!), length: length! }
}

/**
 * One zstd frame of a chunk in shared memory, put into `frame`, a buffer of withFrameBuffer; returns
 * its length. Handed over as an array, each frame would be garbage for the main thread to collect.
 */
export async function compressChunk(
  chunk: Uint8Array,
  frame: Uint8Array,
  level = USUAL_LEVEL,
): Promise<number> {
  const { length } = await ask({ kind: 'compress', chunk, frame, level })
  return length!
}

function ask(job: ChunkJob, moved: Uint8Array[] = []): Promise<ChunkAnswer> {
  threads ??= Array.from({ length: threadCount() }, openThread)
  const thread = threads.reduce((least, next) =>
    next.waiting.length < least.waiting.length ? next : least,
  )
  return new Promise((resolve, reject) => {
    thread.worker.ref()
    thread.waiting.push({ resolve, reject })
    thread.worker.postMessage(
      job,
      moved.filter(isWhole).map(({ buffer }) => buffer as ArrayBuffer),
    )
  })
}

/** Small buffers lie in a pool of Node's, which is not ours to move. */
function isWhole(bytes: Uint8Array): boolean {
  return bytes.byteLength === bytes.buffer.byteLength
}

function threadCount(): number {
  if (totalmem() < SMALL_MACHINE_BYTES) return THREADS_OF_SMALL_MACHINE
  return Math.min(Math.max(availableParallelism(), 2), MAX_THREADS)
}

function openThread(): Thread {
  const worker = new Worker(new URL(PROGRAM, import.meta.url))
  const thread: Thread = { worker, waiting: [] }
  worker.on('message', (answer: ChunkAnswer) => {
    thread.waiting.shift()?.resolve(answer)
    if (thread.waiting.length === 0) worker.unref()
  })
  worker.on('error', (err) => {
    threads = threads?.filter((other) => other !== thread)
    if (threads?.length === 0) threads = undefined
    for (const job of thread.waiting.splice(0)) job.reject(err)
  })
  worker.unref() // a program that has nothing else to do may end; a listener would undo it
  return thread
}
