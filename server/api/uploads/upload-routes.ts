import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ImageSchema } from '#protocol/image/image-info.ts'
import { UUID_PATTERN } from '#protocol/names.ts'
import { ErrorSchema, listOf } from '#protocol/shapes.ts'
import {
  UPLOAD_LENGTH,
  UPLOAD_OFFSET,
  UPLOAD_PIECE_MEDIA_TYPE,
  UploadRequestSchema,
  UploadSchema,
} from '#protocol/image/upload.ts'
import { RequestError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import { type KeptUpload, WrongOffsetError } from './kept-upload.ts'
import type { OpenUploads } from './open-uploads.ts'
import { originOf } from '../library/principal-images.ts'
import { discardRest, takeUploads, withIdleLimit } from './upload-body.ts'

const tags = ['images']
const Params = Type.Object({
  id: Type.String({ pattern: UUID_PATTERN }),
})
const OffsetHeader = Type.Object({
  [UPLOAD_OFFSET]: Type.String({ pattern: '^[0-9]{1,15}$', description: 'Where the piece begins' }),
})

/** Uploads that go on after a lost connection: made once, sent in pieces, told how far they got. */
export function uploadRoutes({ uploads }: { uploads: OpenUploads }): FastifyPluginAsyncTypebox {
  return async (app) => {
    // Before running requests are waited for: nothing may wait for uploaders then.
    app.addHook('preClose', () => uploads.stop())
    await app.register(pieceRoute(uploads))

    app.post(
      '/uploads',
      {
        config: { access: 'operator', scope: 'images', audit: 'upload.create' },
        schema: {
          tags,
          summary: 'Begin an upload that can be gone on with after a lost connection',
          body: UploadRequestSchema,
          response: {
            201: UploadSchema,
            409: ErrorSchema,
            413: ErrorSchema,
            503: ErrorSchema,
            507: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const upload = await uploads
          .create(request.body, originOf(request).createdBy)
          .catch(rethrowImageError)
        return reply.code(201).header('location', `/api/uploads/${upload.id}`).send(upload)
      },
    )

    app.get(
      '/uploads',
      {
        schema: { tags, summary: 'List open uploads', response: { 200: listOf(UploadSchema) } },
      },
      () => ({ items: uploads.list(), next: null }),
    )

    app.get(
      '/uploads/:id',
      {
        exposeHeadRoute: false,
        schema: {
          tags,
          summary: 'Read how far an upload got',
          params: Params,
          response: { 200: UploadSchema, 404: ErrorSchema, 410: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => showUpload(await uploads.get(request.params.id), reply),
    )

    app.head(
      '/uploads/:id',
      {
        schema: { tags, summary: 'Where an upload has to go on: Upload-Offset', params: Params },
      },
      async (request, reply) => {
        showUpload(await uploads.get(request.params.id), reply)
        return reply.code(200).send()
      },
    )

    app.delete(
      '/uploads/:id',
      {
        config: { access: 'operator', scope: 'images', audit: 'upload.delete' },
        schema: {
          tags,
          summary: 'Cancel an upload; nothing of it stays',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema, 410: ErrorSchema },
        },
      },
      async (request, reply) => {
        await uploads.cancel(request.params.id)
        return reply.code(204).send(null)
      },
    )
  }
}

/** Throws why the upload came to nothing, if it did. */
function showUpload(upload: KeptUpload, reply: FastifyReply) {
  if (upload.failure) rethrowImageError(upload.failure.cause)
  const shown = upload.show()
  void reply.headers({
    [UPLOAD_OFFSET]: shown.offset,
    [UPLOAD_LENGTH]: shown.sizeBytes,
    'cache-control': 'no-store',
  })
  return shown
}

/** Its body is a stream. */
function pieceRoute(uploads: OpenUploads): FastifyPluginAsyncTypebox {
  return async (app) => {
    takeUploads(app)
    app.patch(
      '/uploads/:id',
      {
        // A piece that is only one of many would drown the audit log.
        config: { access: 'operator', scope: 'images', audit: 'upload.append', auditUnless: [204] },
        schema: {
          tags,
          summary: 'Send the next piece of the file, of any length; the last one answers the image',
          consumes: [UPLOAD_PIECE_MEDIA_TYPE, 'application/octet-stream'],
          params: Params,
          headers: OffsetHeader,
          response: {
            201: ImageSchema,
            204: Type.Null(),
            404: ErrorSchema,
            409: ErrorSchema,
            410: ErrorSchema,
            422: ErrorSchema,
            507: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const offset = Number(request.headers[UPLOAD_OFFSET])
        const { raw } = request
        try {
          const upload = await uploads.get(request.params.id)
          const content = withIdleLimit(raw, raw)
          const image = await upload.append(offset, { content, cut: () => void raw.destroy() })
          void reply.header(UPLOAD_OFFSET, upload.show().offset)
          if (!image) return await reply.code(204).send(null)
          return await reply.code(201).header('location', `/api/images/${image.name}`).send(image)
        } catch (err) {
          return refusePiece(err, request, reply)
        }
      },
    )
  }
}

function refusePiece(err: unknown, request: FastifyRequest, reply: FastifyReply): never {
  if (err instanceof WrongOffsetError) void reply.header(UPLOAD_OFFSET, err.offset)
  // A connection that was cut is no failure: the upload waits for the next one.
  if (request.raw.destroyed && !request.raw.complete)
    throw new RequestError(400, 'piece-cut', 'The connection ended before the piece did')
  discardRest(request.raw)
  return rethrowImageError(err)
}
