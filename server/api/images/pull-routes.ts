import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ImagePullSchema, PullRequestSchema } from '#protocol/image/image-pull.ts'
import { UUID_PATTERN } from '#protocol/names.ts'
import { ErrorSchema, ImageName, listOf } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { noteAudit } from '../access/audit.ts'
import { ConflictError } from '../http/errors.ts'
import { ifMatch } from '../http/etag.ts'
import { type ImagePulls, shownUrl } from './image-pulls.ts'
import { imageTag } from '../library/image-tag.ts'
import type { OpenUploads } from '../uploads/open-uploads.ts'
import { originOf } from '../library/principal-images.ts'

export interface PullRoutesOptions {
  db: Database
  pulls: ImagePulls
  uploads: OpenUploads
}

const tags = ['images']
const Params = Type.Object({
  id: Type.String({ pattern: UUID_PATTERN }),
})

/** Images that the server fetches from elsewhere: begun here, and told of while they come. */
export function pullRoutes({ db, pulls, uploads }: PullRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.addHook('preClose', () => pulls.stop())

    app.post(
      '/images/:name/pull',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.pull', tagged: true },
        schema: {
          tags,
          summary: 'Have the server fetch an image from a URL, and make a version of it',
          params: Type.Object({ name: ImageName }),
          body: PullRequestSchema,
          response: {
            202: ImagePullSchema,
            409: ErrorSchema,
            412: ErrorSchema,
            422: ErrorSchema,
            503: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        const { sha256, promote } = body
        const url = URL.canParse(body.url) ? shownUrl(body.url) : undefined
        noteAudit(request, { details: { url, sha256, promote } })
        const open = uploads.list().find((upload) => upload.name === params.name)
        if (open)
          throw new ConflictError(
            `An upload is about to become image "${params.name}"; wait for its end, or cancel it`,
            'upload-open',
            { upload: open },
          )
        const check = ifMatch(request, imageTag)
        check?.(await findImage(db, params.name))
        const pull = await pulls.start(params.name, body, originOf(request).createdBy, check)
        return reply.code(202).header('location', `/api/pulls/${pull.id}`).send(pull)
      },
    )

    app.get(
      '/pulls',
      {
        schema: {
          tags,
          summary: 'List images that are being fetched, and those of late, newest first',
          response: { 200: listOf(ImagePullSchema) },
        },
      },
      async () => ({ items: await pulls.list(), next: null }),
    )

    app.get(
      '/pulls/:id',
      {
        schema: {
          tags,
          summary: 'Read how far the fetching of an image is',
          params: Params,
          response: { 200: ImagePullSchema, 404: ErrorSchema },
        },
      },
      ({ params: { id } }) => pulls.get(id),
    )

    app.delete(
      '/pulls/:id',
      {
        config: { access: 'operator', scope: 'images', audit: 'pull.cancel' },
        schema: {
          tags,
          summary: 'Cancel the fetching of an image; nothing of it stays',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async (request, reply) => {
        await pulls.cancel(request.params.id)
        return reply.code(204).send(null)
      },
    )
  }
}
