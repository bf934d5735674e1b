import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { CHUNK_BYTES, MANIFEST_MEDIA_TYPE } from '#protocol/image.ts'
import { letGo } from '#protocol/let-go.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ErrorSchema, Sha256Text } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findManifest } from '#server/db/image-queries.ts'
import type { Codec } from '#server/images/chunk-store.ts'
import { contentHash } from '#server/images/chunk-threads.ts'
import { createSharedReads } from '#server/images/shared-reads.ts'
import { NotFoundError, UnprocessableError } from './errors.ts'
import { createFreeList } from './free-list.ts'
import { rethrowImageError } from './image-errors.ts'
import type { ImageLibrary } from './image-library.ts'
import {
  checkMayReadChunk,
  checkMayReadManifest,
  checkMayWrite,
  uploadHolder,
} from './principal-images.ts'

export interface ChunkRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  /** Send whoever asks for a chunk to the store itself, if it can be reached there. */
  redirect: boolean
}

/** How long the address of a chunk in the store is good: until it was asked for, with time to spare. */
const REDIRECT_SECONDS = 300
/** 1 MiB that does not compress, and what gzip adds. */
const MAX_CHUNK_BODY_BYTES = CHUNK_BYTES + 65_536
const MAX_ASKED = 4096
const bodyBuffers = createFreeList(
  () => new Uint8Array(new SharedArrayBuffer(MAX_CHUNK_BODY_BYTES)),
)
const IMMUTABLE = 'private, max-age=31536000, immutable'
const tags = ['chunks']
const config = { access: 'viewer-or-agent' } as const
const writing = { access: 'operator-or-agent', scope: 'images' } as const
const ChunkParams = Type.Object({ sha256: Sha256Text })
const ChunkQuery = Type.Object({
  direct: Type.Optional(
    Type.Literal('1', { description: 'From this server, also if it redirects to the store' }),
  ),
})
const DigestParams = Type.Object({ digest: Sha256Text })

/** What agents read images from and write them to. */
export function chunkRoutes({
  database,
  library,
  redirect,
}: ChunkRoutesOptions): FastifyPluginAsyncTypebox {
  const { store } = library
  const reads = createSharedReads(store)
  return async (app) => {
    await app.register(putRoute(library))

    app.get(
      '/images/by-digest/:digest',
      { config, schema: { tags, summary: 'The manifest, byte by byte', params: DigestParams } },
      async (request, reply) => {
        const digest = parseSha256(request.params.digest)
        checkMayReadManifest(request, digest)
        const manifest = await findManifest(database.db, digest)
        if (!manifest) throw new NotFoundError(`There is no image with digest ${digest}`)
        return reply
          .type(MANIFEST_MEDIA_TYPE)
          .header('etag', `"${digest}"`)
          .header('cache-control', IMMUTABLE)
          .send(Buffer.from(manifest))
      },
    )

    app.get(
      '/chunks/:sha256',
      {
        config,
        exposeHeadRoute: false,
        schema: {
          tags,
          summary: 'A chunk as it is stored: one gzip member or zstd frame',
          params: ChunkParams,
          querystring: ChunkQuery,
        },
      },
      async (request, reply) => {
        const hash = parseSha256(request.params.sha256)
        await checkMayReadChunk(request, hash, library).catch(rethrowImageError)
        if (redirect && store.presign && request.query.direct === undefined)
          return reply
            .header('cache-control', 'no-store')
            .redirect(await store.presign(hash, REDIRECT_SECONDS), 307)
        const { bytes, codec, release } = await reads.read(hash).catch((err: unknown) => {
          request.log.error({ err, hash }, 'Chunk could not be read')
          return rethrowImageError(err)
        })
        // Whoever went away meanwhile closes nothing any more.
        if (reply.raw.closed) release()
        else reply.raw.once('close', release)
        return reply.type(mediaType(codec)).header('cache-control', IMMUTABLE).send(bytes)
      },
    )

    app.head(
      '/chunks/:sha256',
      {
        config: { ...config, swagger: { exposeHeadRoute: true } },
        schema: { tags, summary: 'Whether a chunk is there', params: ChunkParams },
      },
      async (request, reply) => {
        const hash = parseSha256(request.params.sha256)
        const isCapture =
          request.principal.kind === 'agent' &&
          request.principal.session.run?.workflow === 'capture'
        if (isCapture) await library.touch(uploadHolder(request))
        else await checkMayReadChunk(request, hash, library).catch(rethrowImageError)
        const size = (await store.touch([hash]).catch(rethrowImageError)).get(hash)
        if (!size) return reply.code(404).send()
        return reply
          .type(mediaType(size.codec))
          .header('content-length', size.storedBytes)
          .header('cache-control', IMMUTABLE)
          .send()
      },
    )

    app.post(
      '/chunks/missing',
      {
        config: writing,
        schema: {
          tags,
          summary: 'Which of these chunks the store lacks; the others are kept for this upload',
          body: Type.Object({ sha256: Type.Array(Sha256Text, { maxItems: MAX_ASKED }) }),
          response: { 200: Type.Object({ missing: Type.Array(Sha256Text) }) },
        },
      },
      async (request) => {
        checkMayWrite(request)
        await library.touch(uploadHolder(request))
        const asked = [...new Set(request.body.sha256.map(parseSha256))]
        const present = await store.touch(asked).catch(rethrowImageError)
        return { missing: asked.filter((hash) => !present.has(hash)) }
      },
    )
  }
}

function mediaType(codec: Codec): string {
  return codec === 'gzip' ? 'application/gzip' : 'application/zstd'
}

function putRoute(library: ImageLibrary): FastifyPluginAsyncTypebox {
  const { store } = library

  async function putChunk(hash: Sha256, bytes: Uint8Array<SharedArrayBuffer>): Promise<void> {
    const actual = await contentHash(bytes)
    if (actual !== hash)
      throw new UnprocessableError(
        `The chunk's content has the hash ${actual}, not ${hash}; send it under its own`,
        'wrong-hash',
      )
    await store.putIfAbsent(hash, bytes)
  }

  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.put(
      '/chunks/:sha256',
      {
        config: writing,
        schema: {
          tags,
          summary: 'Store a chunk: one gzip member or zstd frame of at most 1 MiB of content',
          consumes: ['application/gzip'],
          params: ChunkParams,
          response: { 200: Type.Null(), 201: Type.Null(), 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        checkMayWrite(request)
        const hash = parseSha256(request.params.sha256)
        await library.touch(uploadHolder(request))
        try {
          if ((await store.touch([hash])).has(hash)) return await reply.code(200).send(null)
          await withBody(request.raw, (bytes) => putChunk(hash, bytes))
          return await reply.code(201).send(null)
        } catch (err) {
          return rethrowImageError(err)
        }
      },
    )
  }
}

async function withBody(
  body: AsyncIterable<Uint8Array>,
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
async function readBounded(body: AsyncIterable<Uint8Array>, buffer: Uint8Array): Promise<number> {
  let length = 0
  for await (const part of body) {
    // Read on to its end, or the caller would be cut off before the answer.
    if (length + part.length <= buffer.length) buffer.set(part, length)
    length += part.length
    letGo(part)
    if (length > 16 * MAX_CHUNK_BODY_BYTES) break
  }
  if (length > MAX_CHUNK_BODY_BYTES)
    throw new UnprocessableError(
      `The chunk has more than ${MAX_CHUNK_BODY_BYTES} bytes; a chunk is at most 1 MiB of content`,
      'chunk-too-large',
    )
  return length
}
