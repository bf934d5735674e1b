import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { type ImageInfo, ImageSchema } from '#protocol/image/image-info.ts'
import { MANIFEST_MEDIA_TYPE, MAX_MANIFEST_BYTES } from '#protocol/image/image.ts'
import { PromoteQuery } from '#protocol/image/image-version.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { ErrorSchema, ImageName, Sha256Text } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { ChunksMissingError } from '#server/images/commit/check-image.ts'
import { digestOf } from '#server/images/import/import-image.ts'
import { readStoredInfo } from '#server/images/import/stored-info.ts'
import { ChunkMissingError } from '#server/images/store/chunk-store.ts'
import { ifMatch } from '../http/etag.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { imageTag } from '../library/image-tag.ts'
import { storable } from '../http/storable.ts'
import { checkMayWriteImage, originOf, uploadHolder } from '../library/principal-images.ts'

export interface ImageCommitOptions {
  db: Database
  library: ImageLibrary
}

/** How a capture becomes an image. The body is hashed as it is, so nobody may parse it first. */
export function imageCommitRoute(options: ImageCommitOptions): FastifyPluginAsyncTypebox {
  const { library } = options
  return async (app) => {
    app.removeAllContentTypeParsers()
    app.addContentTypeParser<Buffer>(
      '*',
      { parseAs: 'buffer', bodyLimit: MAX_MANIFEST_BYTES },
      (_request, body, done) => done(null, body),
    )
    app.put(
      '/images/:name/manifest',
      {
        config: {
          access: 'operator-or-agent',
          scope: 'images',
          audit: 'image.commit',
          tagged: true,
        },
        schema: {
          tags: ['images'],
          summary: 'Make an image of chunks that are in the store; 409 lists those that are not',
          consumes: [MANIFEST_MEDIA_TYPE],
          params: Type.Object({ name: ImageName }),
          querystring: Type.Object({
            /** A chunk that holds what is known of the image, as `PUT /images/{name}/info` takes it. */
            info: Type.Optional(Sha256Text),
            promote: PromoteQuery,
          }),
          response: {
            201: ImageSchema,
            409: Type.Object({ ...ErrorSchema.properties, missing: Type.Array(Sha256Text) }),
            412: ErrorSchema,
            422: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        checkMayWriteImage(request, name)
        const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array()
        try {
          const check = ifMatch(request, imageTag)
          const info =
            request.query.info &&
            (await storedInfo(options, {
              name,
              manifest: bytes,
              info: parseSha256(request.query.info),
            }))
          const image = await library.commit(name, bytes, uploadHolder(request), {
            ...(info && { info }),
            check,
            promote: request.query.promote,
            ...originOf(request),
          })
          return await reply.code(201).header('location', `/api/images/${name}`).send(image)
        } catch (err) {
          if (!(err instanceof ChunksMissingError)) return rethrowImageError(err)
          const { missing } = err
          const error = { code: 'chunks-missing', message: err.message, details: { missing } }
          return reply.code(409).send({ error, missing })
        }
      },
    )
  }
}

/** What the chunk says that a commit names. Throws ChunksMissingError. */
async function storedInfo(
  { db, library }: ImageCommitOptions,
  commit: { name: string; manifest: Uint8Array; info: Sha256 },
): Promise<ImageInfo> {
  try {
    return storable(await readStoredInfo(library.store, commit.info)) as ImageInfo
  } catch (err) {
    if (!(err instanceof ChunkMissingError)) throw err
    // Asked once more because the answer got lost: once there was the image, nothing needed the chunk.
    const newest = await findImage(db, `${commit.name}@latest`)
    if (newest?.digest === digestOf(commit.manifest)) return newest.info
    throw new ChunksMissingError([commit.info])
  }
}
