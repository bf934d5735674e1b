import { hash as digestOf } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { CHUNK_BYTES } from '#protocol/image/chunk-size.ts'
import { letGo } from '#protocol/let-go.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { inflateMember, MemberDecodeError } from '../codec/gzip-member.ts'
import { FrameDecodeError, inflateFrameSync } from '../codec/zstd-frame.ts'
import { codecOf, wrapPlain } from './chunk-codec.ts'
import type { ThreadAnswer, ThreadRequest } from './chunk-threads.ts'
import { isStoreThere, placeChunk, touchChunk } from './place-chunk.ts'

/** What frames inflate to: used again, so whoever uses it does so without waiting for anything. */
let inflated: Uint8Array | undefined

async function answer(request: ThreadRequest): Promise<ThreadAnswer> {
  const { id, kind } = request
  switch (kind) {
    case 'touch':
      return { id, ...touch(request) }
    case 'put':
      placeChunk(request.folder, request.hash, request.stored)
      return { id, isDone: true }
    case 'verify-and-put':
      return { id, hash: await verifyAndPut(request) }
    case 'hash':
      return { id, hash: await withContent(request.stored, hashOf) }
    case 'wrap':
      return { id, ...(await wrap(request)) }
  }
}

function touch({ folder, hashes }: ThreadRequest & { kind: 'touch' }) {
  const sizes = hashes.map((hash) => touchChunk(folder, hash))
  return { sizes, isStoreThere: !sizes.includes(undefined) || isStoreThere(folder) }
}

async function verifyAndPut(request: ThreadRequest & { kind: 'verify-and-put' }): Promise<Sha256> {
  const { folder, hash, stored } = request
  const actual = await withContent(stored, hashOf)
  if (actual === hash) placeChunk(folder, hash, stored)
  return actual
}

async function wrap({ stored, hash, codec, target }: ThreadRequest & { kind: 'wrap' }) {
  return await withContent(stored, (content) =>
    hashOf(content) === hash
      ? { wrappedBytes: wrapPlain(codec, content, target).length }
      : { refusal: 'its content has another hash' },
  )
}

/** The content is gone after `use`. */
async function withContent<Result>(
  stored: Uint8Array,
  use: (content: Uint8Array) => Result,
): Promise<Result> {
  switch (codecOf(stored)) {
    case 'zstd':
      inflated ??= new Uint8Array(CHUNK_BYTES)
      return use(inflateFrameSync(stored, inflated))
    case 'gzip': {
      const content = await inflateMember(stored)
      const result = use(content)
      letGo(content)
      return result
    }
    case undefined:
      throw new FrameDecodeError('It is neither a gzip member nor a zstd frame')
  }
}

function hashOf(content: Uint8Array): Sha256 {
  return parseSha256(digestOf('sha256', content, 'hex'))
}

function explain(err: unknown) {
  const { message, errno, code } = err as NodeJS.ErrnoException
  if (err instanceof MemberDecodeError || err instanceof FrameDecodeError)
    return { refusal: message }
  // A bug of ours may have a code, too, and is no fault of the store.
  return { failure: message, code: errno === undefined ? undefined : code }
}

parentPort!.on('message', (request: ThreadRequest) => {
  void answer(request)
    .catch((err: unknown) => ({ id: request.id, ...explain(err) }))
    .then((message) => parentPort!.postMessage(message))
})
