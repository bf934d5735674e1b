import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ImageDirectorySchema } from '#protocol/image/image-info.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { ErrorSchema, ImageReference } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { ChunkMissingError } from '#server/images/store/chunk-store.ts'
import type { ImageFiles, ImageFilesRequest } from '#server/images/files/image-files.ts'
import { noteAudit } from '../access/audit.ts'
import { ConflictError, NotFoundError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'

export interface FileRoutesOptions {
  db: Database
  files: ImageFiles
}

const tags = ['images']
const Params = Type.Object({ name: ImageReference })
const Query = Type.Object({
  path: Type.String({ minLength: 1, maxLength: 4096, examples: ['/etc/fstab'] }),
  partition: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 100_000,
      description: 'Else that of the root, else the largest that can be read; 0: the whole disk',
    }),
  ),
  volume: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        'Logical volume as "group/name"; else that of the root, else the largest that can be read',
      examples: ['debian-vg/root'],
    }),
  ),
})
const failures = {
  400: ErrorSchema,
  404: ErrorSchema,
  409: ErrorSchema,
  422: ErrorSchema,
  507: ErrorSchema,
}

interface FilesQuery {
  Params: { name: string }
  Querystring: { path: string; partition?: number; volume?: string }
}

/** Single files of an image. They may be secrets of a machine, so that each look is in the audit log. */
export function fileRoutes({ db, files }: FileRoutesOptions): FastifyPluginAsyncTypebox {
  async function requestOf(
    { params, query, raw }: FastifyRequest<FilesQuery>,
    reply: FastifyReply,
  ): Promise<ImageFilesRequest> {
    const image = await findImage(db, params.name)
    if (!image) throw new NotFoundError(`There is no image "${params.name}"`)
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort(new Error(`The reader of ${raw.url} left`)))
    const { digest, info } = image
    return { digest: parseSha256(digest), info, ...query, signal: gone.signal }
  }

  return async (app) => {
    app.get(
      '/images/:name/files',
      {
        exposeHeadRoute: false,
        config: { access: 'operator', scope: 'images', audit: 'image.read-file' },
        schema: {
          tags,
          summary: 'One file of an image, read-only; links are followed inside the image',
          produces: ['application/octet-stream'],
          params: Params,
          querystring: Query,
        },
      },
      async (request, reply) => {
        noteAudit(request, { details: request.query })
        const wanted = await requestOf(request, reply)
        const file = await files.read(wanted).catch(refuse)
        const dispose = () => void file[Symbol.asyncDispose]()
        if (wanted.signal.aborted) dispose()
        wanted.signal.addEventListener('abort', dispose)
        const name = file.path.split('/').at(-1)!
        void reply
          .type('application/octet-stream')
          .header('x-content-type-options', 'nosniff')
          .header('cache-control', 'no-store')
          .header('x-stampede-partition', file.partition)
          .header('content-disposition', `attachment; filename*=UTF-8''${encodeName(name)}`)
        if (file.volume !== undefined)
          void reply.header('x-stampede-volume', encodeName(file.volume))
        if (file.sizeBytes !== undefined) void reply.header('content-length', file.sizeBytes)
        return reply.send(Readable.from(file.content, { objectMode: false }))
      },
    )

    app.get(
      '/images/:name/tree',
      {
        exposeHeadRoute: false,
        config: { access: 'operator', scope: 'images', audit: 'image.list-files' },
        schema: {
          tags,
          summary: 'List a directory of an image',
          params: Params,
          querystring: Query,
          response: { 200: ImageDirectorySchema, ...failures },
        },
      },
      async (request, reply) => {
        noteAudit(request, { details: request.query })
        const wanted = await requestOf(request, reply)
        const { entries, ...rest } = await files.list(wanted).catch(refuse)
        return { ...rest, items: entries }
      },
    )
  }
}

/** As a download of the image is refused that lacks something. */
function refuse(err: unknown): never {
  if (err instanceof ChunkMissingError)
    throw new ConflictError(
      'The image lacks chunks that the store has lost, in the very partition; capture or upload its content again',
      'image-damaged',
    )
  return rethrowImageError(err)
}

/** As RFC 8187 has it, which leaves fewer characters than encodeURIComponent does. */
function encodeName(name: string): string {
  return encodeURIComponent(name).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
