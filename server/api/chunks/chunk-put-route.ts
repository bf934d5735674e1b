import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { letGo } from '#protocol/let-go.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ErrorSchema, Sha256Text } from '#protocol/shapes.ts'
import { type ChunkStore, StoreFullError } from '#server/images/store/chunk-store.ts'
import { contentHash } from '#server/images/store/chunk-threads.ts'
import { UnprocessableError } from '../http/errors.ts'
import { createFreeList } from '../http/free-list.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { checkMayWrite, uploadHolder } from '../library/principal-images.ts'

const bodyBuffers = createFreeList(
  () => new Uint8Array(new SharedArrayBuffer(LONGEST_STORED_BYTES)),
)
const ChunkParams = Type.Object({ sha256: Sha256Text })

/** Hashes that callers were told to send and that have not come yet; beyond these, all are forgotten. */
const MAX_EXPECTED = 65_536

/**
 * Chunks that the store lacked a moment ago: to look for each once more, before its body is read, would be
 * a message to a thread, or a request to S3, that finds nothing. One that came from elsewhere meanwhile
 * is found when it is stored.
 */
export interface ExpectedChunks {
  add(hashes: readonly Sha256[]): void
  /** Whether it was one, which it is no more. */
  take(hash: Sha256): boolean
}

export function createExpectedChunks(): ExpectedChunks {
  const expected = new Set<Sha256>()
  return {
    add(hashes) {
      if (expected.size + hashes.length > MAX_EXPECTED) expected.clear()
      for (const hash of hashes) expected.add(hash)
    },
    take: (hash) => expected.delete(hash),
  }
}

/** How agents, and whoever imports, store a chunk. */
export function chunkPutRoute(
  library: ImageLibrary,
  expected: ExpectedChunks,
): FastifyPluginAsyncTypebox {
  const { store } = library
  async function putChunk(hash: Sha256, bytes: Uint8Array<SharedArrayBuffer>): Promise<void> {
    const actual = await verifyAndPut(store, hash, bytes)
    if (actual !== hash)
      throw new UnprocessableError(
        `The chunk's content has the hash ${actual}, not ${hash}; send it under its own`,
        'wrong-hash',
      )
  }

  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.put(
      '/chunks/:sha256',
      {
        config: { access: 'operator-or-agent', scope: 'images' },
        schema: {
          tags: ['chunks'],
          summary: 'Store a chunk: one gzip member or zstd frame of at most 1 MiB of content',
          consumes: ['application/gzip'],
          params: ChunkParams,
          response: { 200: Type.Null(), 201: Type.Null(), 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        checkMayWrite(request)
        const hash = parseSha256(request.params.sha256)
        const holder = uploadHolder(request)
        await library.touch(holder)
        try {
          if (!expected.take(hash) && (await store.touch([hash])).has(hash))
            return await reply.code(200).send(null)
          await withBody(request.raw, (bytes) => putChunk(hash, bytes))
          return await reply.code(201).send(null)
        } catch (err) {
          if (err instanceof StoreFullError) library.refused(holder)
          return rethrowImageError(err)
        }
      },
    )
  }
}

async function verifyAndPut(store: ChunkStore, hash: Sha256, bytes: Uint8Array): Promise<Sha256> {
  if (store.putIfRight) return await store.putIfRight(hash, bytes)
  const actual = await contentHash(bytes)
  if (actual === hash) await store.putIfAbsent(hash, bytes)
  return actual
}

async function withBody(
  body: Readable,
  use: (bytes: Uint8Array<SharedArrayBuffer>) => Promise<void>,
): Promise<void> {
  const buffer = bodyBuffers.take()
  try {
    await use(buffer.subarray(0, await readBounded(body, buffer)))
  } finally {
    bodyBuffers.give(buffer)
  }
}

/** How many bytes the body has. */
async function readBounded(body: Readable, buffer: Uint8Array): Promise<number> {
  let length = 0
  // Not by `for await`, which joins what waits to new bytes: garbage of the size of the body.
  body.on('data', (part: Buffer) => {
    // Read on to its end, or the caller would be cut off before the answer.
    if (length + part.length <= buffer.length) buffer.set(part, length)
    length += part.length
    letGo(part)
    if (length > 16 * LONGEST_STORED_BYTES) body.destroy()
  })
  await finished(body, { writable: false }).catch((err: unknown) => {
    if (length <= LONGEST_STORED_BYTES) throw err
  })
  if (length > LONGEST_STORED_BYTES)
    throw new UnprocessableError(
      `The chunk has more than ${LONGEST_STORED_BYTES} bytes; a chunk is at most 1 MiB of content`,
      'chunk-too-large',
    )
  return length
}
