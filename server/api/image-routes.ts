import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ImageInfoSchema, ImageSchema } from '#protocol/image-info.ts'
import { MANIFEST_MEDIA_TYPE, MAX_MANIFEST_BYTES } from '#protocol/image.ts'
import { ErrorSchema, IMAGE_NAME_PATTERN, ImageName, listOf, Sha256Text } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { deleteImage, findImage, listImages, saveImageInfo } from '#server/db/image-queries.ts'
import { ChunksMissingError } from '#server/images/check-image.ts'
import { ConflictError, NotFoundError } from './errors.ts'
import { rethrowImageError } from './image-errors.ts'
import type { ImageLibrary } from './image-library.ts'
import { pageOf, pageQuery } from './paging.ts'
import { checkMayWriteImage, uploadHolder } from './principal-images.ts'
import { discardRest, receiveUpload, takeUploads } from './upload-body.ts'

export interface ImageRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
}

const Params = Type.Object({ name: ImageName })
const tags = ['images']

export function imageRoutes({ database, library }: ImageRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    await app.register(uploadRoutes(library))
    await app.register(manifestRoutes(library))

    app.get(
      '/images',
      {
        schema: {
          tags,
          summary: 'List images by name',
          querystring: Type.Object(pageQuery(IMAGE_NAME_PATTERN)),
          response: { 200: listOf(ImageSchema) },
        },
      },
      ({ query }) => listImages(db, pageOf(query)),
    )

    app.get(
      '/images/:name',
      {
        schema: {
          tags,
          summary: 'Read an image',
          params: Params,
          response: { 200: ImageSchema, 404: ErrorSchema },
        },
      },
      async ({ params: { name } }) => (await findImage(db, name)) ?? missing(name),
    )

    app.delete(
      '/images/:name',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.delete' },
        schema: {
          tags,
          summary: 'Delete an image that no active run uses',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async ({ params: { name } }, reply) => {
        const deletion = await deleteImage(db, name)
        switch (deletion.kind) {
          case 'missing':
            return missing(name)
          case 'in-use':
            throw new ConflictError(
              `Image "${name}" is used by run ${deletion.runId}; wait for its end or cancel it`,
              'image-in-use',
            )
          case 'deleted':
            await database.flush()
            library.sweepSoon()
            return reply.code(204).send(null)
        }
      },
    )

    app.put(
      '/images/:name/info',
      {
        config: { access: 'operator-or-agent', scope: 'images', audit: 'image.info' },
        schema: {
          tags,
          summary: 'Replace what is known of an image beside its content',
          params: Params,
          body: ImageInfoSchema,
          response: { 200: ImageSchema, 404: ErrorSchema },
        },
      },
      async (request) => {
        const { name } = request.params
        checkMayWriteImage(request, name)
        return (await saveImageInfo(db, name, request.body)) ?? missing(name)
      },
    )
  }
}

function missing(name: string): never {
  throw new NotFoundError(`There is no image "${name}"`)
}

/** Their bodies are streams of whatever type. */
function uploadRoutes(library: ImageLibrary): FastifyPluginAsyncTypebox {
  return async (app) => {
    takeUploads(app)
    app.route({
      method: ['POST', 'PUT'],
      url: '/images/:name',
      config: { access: 'operator', scope: 'images', audit: 'image.upload' },
      schema: {
        tags,
        summary: 'Upload an image: raw, gzip, xz, zstd, bzip2 or qcow2, as the body or in a form',
        consumes: ['application/octet-stream', 'multipart/form-data'],
        params: Params,
        querystring: Type.Object({
          sectorSize: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
        }),
        response: { 201: ImageSchema, 413: ErrorSchema, 422: ErrorSchema, 507: ErrorSchema },
      },
      handler: async (request, reply) => {
        const { name } = request.params
        try {
          const { content, fileName } = await receiveUpload(request.raw)
          const image = await library.upload({
            name,
            body: content,
            sectorBytes: request.query.sectorSize,
            source: fileName === undefined ? undefined : `upload of ${fileName}`,
          })
          return await reply.code(201).header('location', `/api/images/${name}`).send(image)
        } catch (err) {
          request.log.warn({ err, image: name }, 'Upload failed')
          discardRest(request.raw)
          return rethrowImageError(err)
        }
      },
    })
  }
}

/** Their bodies are hashed as they are, so nobody may parse them first. */
function manifestRoutes(library: ImageLibrary): FastifyPluginAsyncTypebox {
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
        config: { access: 'operator-or-agent', scope: 'images', audit: 'image.commit' },
        schema: {
          tags,
          summary: 'Make an image of chunks that are in the store; 409 lists those that are not',
          consumes: [MANIFEST_MEDIA_TYPE],
          params: Params,
          response: {
            201: ImageSchema,
            409: Type.Object({ ...ErrorSchema.properties, missing: Type.Array(Sha256Text) }),
            422: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        checkMayWriteImage(request, name)
        const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array()
        try {
          const image = await library.commit(name, bytes, uploadHolder(request))
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
