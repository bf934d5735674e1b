import { hash as digestOf } from 'node:crypto'
import { parentPort } from 'node:worker_threads'
import { letGo } from '#protocol/let-go.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { codecOf } from './chunk-codec.ts'
import type { ThreadAnswer, ThreadRequest } from './chunk-threads.ts'
import { inflateMember, MemberDecodeError } from './gzip-member.ts'
import { isStoreThere, placeChunk, touchChunk } from './place-chunk.ts'
import { FrameDecodeError, inflateFrameSync } from './zstd-frame.ts'

async function answer(request: ThreadRequest): Promise<ThreadAnswer> {
  const { id, kind } = request
  switch (kind) {
    case 'touch':
      return { id, ...touch(request) }
    case 'put':
      placeChunk(request.folder, request.hash, request.stored)
      return { id, isDone: true }
    case 'hash':
      return { id, hash: await contentHash(request.stored) }
    case 'wrap':
      return { id, ...(await wrap(request)) }
  }
}

function touch({ folder, hashes }: ThreadRequest & { kind: 'touch' }) {
  const sizes = hashes.map((hash) => touchChunk(folder, hash))
  return { sizes, isStoreThere: !sizes.includes(undefined) || isStoreThere(folder) }
}

async function wrap({ stored, hash, codec, target }: ThreadRequest & { kind: 'wrap' }) {
  const content = await contentOf(stored)
  if (hashOf(content) !== hash) return { refusal: 'its content has another hash' }
  // Not every thread is ever asked: what it takes to start one is time of the first uploads.
  const { EXPORT_FORMATS } = await import('./export-format.ts')
  const format = EXPORT_FORMATS.find((each) => each.codec === codec)!
  const { length } = format.wrap(content, target)
  letGo(content)
  return { wrappedBytes: length }
}

async function contentHash(stored: Uint8Array): Promise<Sha256> {
  const content = await contentOf(stored)
  const hash = hashOf(content)
  letGo(content)
  return hash
}

async function contentOf(stored: Uint8Array): Promise<Uint8Array> {
  switch (codecOf(stored)) {
    case 'zstd':
      return inflateFrameSync(stored)
    case 'gzip':
      return await inflateMember(stored)
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
