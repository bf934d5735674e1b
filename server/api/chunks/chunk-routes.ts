import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { MANIFEST_MEDIA_TYPE } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { Sha256Text } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findManifest } from '#server/db/images/image-queries.ts'
import { type Codec, isLost, StoreUnreachableError } from '#server/images/store/chunk-store.ts'
import { createSharedReads } from '#server/images/store/shared-reads.ts'
import { whyDamaged } from '#server/runs/new-run.ts'
import { chunkPutRoute, createExpectedChunks } from './chunk-put-route.ts'
import { ConflictError, NotFoundError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { createImageReaders, isReading } from './image-readers.ts'
import { sendBytes } from '../http/send-bytes.ts'
import {
  checkMayReadChunk,
  checkMayReadManifest,
  checkMayWrite,
  uploadHolder,
} from '../library/principal-images.ts'

export interface ChunkRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  /** What is done about chunks that are rotten or gone; done when it is. */
  care: Record<'report' | 'look', (hash: Sha256, reason: string) => Promise<void>> & {
    /** How many chunks the image lacks. */
    lacking: (digest: Sha256) => Promise<number>
  }
  /** Send whoever asks for a chunk to the store itself, if it can be reached there. */
  redirect: boolean
}

/** How long the address of a chunk in the store is good: until it was asked for, with time to spare. */
const REDIRECT_SECONDS = 300
const MAX_ASKED = 4096
const IMMUTABLE = 'private, max-age=31536000, immutable'
const tags = ['chunks']
const config = { access: 'viewer-or-agent' } as const
const writing = { access: 'operator-or-agent', scope: 'images' } as const
const ChunkParams = Type.Object({ sha256: Sha256Text })
const ChunkQuery = Type.Object({
  direct: Type.Optional(
    Type.Literal('1', { description: 'From this server, also if it redirects to the store' }),
  ),
  verify: Type.Optional(
    Type.Literal('1', { description: 'What came before was damaged: look whether it is so here' }),
  ),
})
const ManifestQuery = Type.Object({
  complete: Type.Optional(
    Type.Literal('1', {
      description: 'It is about to be written: refused if the store lacks chunks of it',
    }),
  ),
})
const DigestParams = Type.Object({ digest: Sha256Text })

/** What agents read images from and write them to. */
export function chunkRoutes({
  database,
  library,
  care,
  redirect,
}: ChunkRoutesOptions): FastifyPluginAsyncTypebox {
  const { store } = library
  const reads = createSharedReads(store)
  const expected = createExpectedChunks()

  /**
   * What a machine finds rotten or gone is looked into at once: its image is given to no other machine,
   * and if another place has the chunk, this one gets it from there.
   */
  async function healing<Result>(
    request: FastifyRequest,
    read: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await read()
    } catch (err) {
      // Of anybody else nobody knows whether an image has it; to find out takes reading all segments.
      const isOfImage = request.principal.kind === 'agent' || isReading(request)
      if (!isLost(err) || !isOfImage) throw err
      await care.report(err.hash, err.message)
      return await read()
    }
  }

  /** Before a disk is erased for it. */
  async function refuseIncomplete(request: FastifyRequest, digest: Sha256): Promise<void> {
    const lacking = await care.lacking(digest).catch(rethrowImageError)
    if (lacking === 0) return
    const { principal } = request
    const name = principal.kind === 'agent' ? principal.session.run?.image : undefined
    throw new ConflictError(whyDamaged(name ?? digest, lacking), 'image-damaged')
  }

  return async (app) => {
    const readers = createImageReaders(database.db, app.log)
    await app.register(chunkPutRoute(library, expected))

    app.get(
      '/images/by-digest/:digest',
      {
        config,
        schema: {
          tags,
          summary: 'The manifest, byte by byte',
          params: DigestParams,
          querystring: ManifestQuery,
        },
      },
      async (request, reply) => {
        const digest = parseSha256(request.params.digest)
        checkMayReadManifest(request, digest)
        const manifest = await readers.begin(request, digest, () =>
          findManifest(database.db, digest),
        )
        if (!manifest) throw new NotFoundError(`There is no image with digest ${digest}`)
        if (request.query.complete !== undefined) await refuseIncomplete(request, digest)
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
        await healing(request, () => checkMayReadChunk(request, hash, library)).catch(
          rethrowImageError,
        )
        readers.goOn(request)
        if (request.query.verify !== undefined)
          await care.look(hash, 'a machine got other content than its hash says')
        if (redirect && store.presign && request.query.direct === undefined)
          return reply
            .header('cache-control', 'no-store')
            .redirect(await store.presign(hash, REDIRECT_SECONDS), 307)
        const { bytes, codec, release } = await healing(request, () =>
          reads.read(hash, { reader: request.raw.socket }),
        ).catch((err: unknown) => {
          // An outage is logged once, by the store.
          if (!(err instanceof StoreUnreachableError))
            request.log.error({ err, hash }, 'Chunk could not be read')
          return rethrowImageError(err)
        })
        void reply.type(mediaType(codec)).header('cache-control', IMMUTABLE)
        return sendBytes(reply, bytes, release)
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
        const missing = asked.filter((hash) => !present.has(hash))
        expected.add(missing)
        return { missing }
      },
    )
  }
}

function mediaType(codec: Codec): string {
  return codec === 'gzip' ? 'application/gzip' : 'application/zstd'
}
