import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ImageSchema } from '#protocol/image/image-info.ts'
import { PromoteQuery } from '#protocol/image/image-version.ts'
import { ErrorSchema, ImageName } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { ifMatch } from '../http/etag.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { imageTag } from '../library/image-tag.ts'
import { originOf } from '../library/principal-images.ts'
import { discardRest, receiveUpload, takeUploads } from './upload-body.ts'

/** A whole image in one request, whose body is a stream of whatever type. */
export function imageUploadRoute({
  db,
  library,
}: {
  db: Database
  library: ImageLibrary
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    takeUploads(app)
    app.route({
      method: ['POST', 'PUT'],
      url: '/images/:name',
      config: { access: 'operator', scope: 'images', audit: 'image.upload', tagged: true },
      schema: {
        tags: ['images'],
        summary: 'Upload an image: raw, gzip, xz, zstd, bzip2 or qcow2, as the body or in a form',
        consumes: ['application/octet-stream', 'multipart/form-data'],
        params: Type.Object({ name: ImageName }),
        querystring: Type.Object({
          sectorSize: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
          promote: PromoteQuery,
        }),
        response: {
          201: ImageSchema,
          412: ErrorSchema,
          413: ErrorSchema,
          422: ErrorSchema,
          507: ErrorSchema,
        },
      },
      handler: async (request, reply) => {
        const { name } = request.params
        const check = ifMatch(request, imageTag)
        try {
          // Before hours of upload, and again when it is to become the image.
          check?.(await findImage(db, name))
          const { content, fileName } = await receiveUpload(request.raw)
          const image = await library.upload({
            name,
            body: content,
            sectorBytes: request.query.sectorSize,
            fileName,
            fileBytes: contentLength(request),
            promote: request.query.promote,
            ...originOf(request),
            check,
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

function contentLength({ headers }: FastifyRequest): number | undefined {
  const text = headers['content-length']
  return text === undefined ? undefined : Number(text)
}
