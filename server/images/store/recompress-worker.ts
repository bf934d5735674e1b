import { hash } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { inflateChunk } from './chunk-codec.ts'
import type { StoredChunk } from './chunk-store.ts'
import { RECOMPRESS_LEVELS, type RecompressAnswer, type RecompressRequest } from './recompressor.ts'

const LOWEST_PRIORITY = 19
/** Less is not worth the wear: 1 %. */
const LEAST_GAIN = 0.01

/** Linux counts threads as processes here, proc(5): only this one gives way to all others. */
function giveWay(): void {
  const [, thread] = /task\/(\d+)$/.exec(readlinkSync('/proc/thread-self')) ?? []
  if (thread !== undefined) setPriority(Number(thread), LOWEST_PRIORITY)
}

async function recompress({
  hash: expected,
  codec,
  bytes,
}: RecompressRequest): Promise<RecompressAnswer> {
  const content = await contentOf({ codec, bytes }).catch((err: unknown) => (err as Error).message)
  if (typeof content === 'string') return { kind: 'damaged', reason: content }
  if (hash('sha256', content, 'hex') !== expected)
    return { kind: 'damaged', reason: 'its content has another hash' }
  const smaller = compress(content, codec)
  if (smaller.length > bytes.length * (1 - LEAST_GAIN)) return { kind: 'kept' }
  // Nothing takes the place of a good chunk on trust.
  const again = await contentOf({ codec, bytes: smaller }).catch((err: unknown) => err as Error)
  if (again instanceof Error) return { kind: 'failed', reason: again.message }
  if (Buffer.compare(again, content) !== 0)
    return { kind: 'failed', reason: 'What was compressed inflates to other content' }
  return { kind: 'smaller', bytes: smaller }
}

function contentOf(stored: StoredChunk): Promise<Uint8Array> {
  return inflateChunk(stored)
}

function compress(content: Uint8Array, codec: 'gzip' | 'zstd'): Uint8Array {
  const level = RECOMPRESS_LEVELS[codec]
  switch (codec) {
    case 'gzip':
      return gzipSync(content, { level })
    case 'zstd':
      return zstdCompressSync(content, {
        // Where it fills its buffer exactly, zlib (Node 24.21) puts an empty frame behind the first.
        chunkSize: LONGEST_STORED_BYTES,
        pledgedSrcSize: content.length,
        params: {
          [constants.ZSTD_c_compressionLevel]: level,
          [constants.ZSTD_c_checksumFlag]: 1,
        },
      })
  }
}

giveWay()
parentPort!.on('message', (request: RecompressRequest) => {
  void recompress(request).then(
    (answer) => parentPort!.postMessage(answer),
    (err: unknown) => {
      throw err // ends this thread, which whoever waits is told
    },
  )
})
// Whoever started this thread waits for it, with work or to end it.
parentPort!.postMessage('loaded')
