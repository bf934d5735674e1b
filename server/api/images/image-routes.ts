import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import {
  type Image,
  ImageChangeSchema,
  ImageInfoSchema,
  ImageSchema,
} from '#protocol/image/image-info.ts'
import {
  ErrorSchema,
  IMAGE_NAME_PATTERN,
  ImageName,
  ImageReference,
  listOf,
} from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { changeImage, deleteImage, saveImageInfo } from '#server/db/images/image-changes.ts'
import { findRunningPull } from '#server/db/images/image-pulls.ts'
import { findImage, listImages } from '#server/db/images/image-queries.ts'
import { noteAudit } from '../access/audit.ts'
import { ConflictError, NotFoundError } from '../http/errors.ts'
import { ifMatch, sendTagged } from '../http/etag.ts'
import { imageCommitRoute } from './image-commit-route.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { imageTag } from '../library/image-tag.ts'
import { imageUploadRoute } from '../uploads/image-upload-route.ts'
import type { OpenUploads } from '../uploads/open-uploads.ts'
import { pageOf, pageQuery } from '../http/paging.ts'
import { checkMayWriteImage, originOf } from '../library/principal-images.ts'

export interface ImageRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  uploads: OpenUploads
}

const Params = Type.Object({ name: ImageName })
const ReferenceParams = Type.Object({ name: ImageReference })
const tags = ['images']

export function imageRoutes({
  database,
  library,
  uploads,
}: ImageRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database

  /** An upload or pull that ends would replace what was given its name meanwhile, or undo a renaming. */
  async function checkNotAwaited(name: string): Promise<void> {
    const open = uploads.list().find((upload) => upload.name === name)
    if (open)
      throw new ConflictError(
        `An upload is about to become image "${name}"; wait for its end, or cancel it`,
        'upload-open',
        { upload: open },
      )
    if (await findRunningPull(db, name))
      throw new ConflictError(
        `Image "${name}" is being fetched from a URL; wait for its end, or cancel it`,
        'pull-running',
      )
  }

  return async (app) => {
    await app.register(imageUploadRoute({ db, library }))
    await app.register(imageCommitRoute({ db, library }))

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
        config: { tagged: true },
        schema: {
          tags,
          summary: 'Read an image, or a version of it: debian-13@3, debian-13@latest',
          params: ReferenceParams,
          response: { 200: ImageSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const image = (await findImage(db, name)) ?? missing(name)
        return sendTagged(request, reply, imageTag(image), image)
      },
    )

    app.patch(
      '/images/:name',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.update', tagged: true },
        schema: {
          tags,
          summary: 'Rename or describe an image; machines that it is assigned to follow its name',
          params: Params,
          body: ImageChangeSchema,
          response: {
            200: ImageSchema,
            404: ErrorSchema,
            409: ErrorSchema,
            412: ErrorSchema,
          },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        if (body.name !== undefined && body.name !== params.name)
          for (const name of [params.name, body.name]) await checkNotAwaited(name)
        const changed = await changeImage(db, params.name, body, ifMatch(request, imageTag))
        switch (changed.kind) {
          case 'missing':
            return missing(params.name)
          case 'taken':
            throw new ConflictError(
              `There is an image "${body.name}" already; choose another name, or delete it first`,
              'image-exists',
            )
          case 'capturing':
            throw new ConflictError(
              `Run ${changed.runId} is capturing into image "${changed.image}"; wait for its end or cancel it`,
              'image-in-use',
              { machines: [], runs: [changed.runId] },
            )
          case 'changed':
            auditImage(request, changed.followers, changed.image.name)
            return sendTagged(request, reply, imageTag(changed.image), changed.image)
        }
      },
    )

    app.delete(
      '/images/:name',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.delete', tagged: true },
        schema: {
          tags,
          summary: 'Delete an image that no machine and no active run uses',
          params: Params,
          querystring: Type.Object({
            /** Takes it from the machines that it is assigned to; active runs refuse all the same. */
            unassign: Type.Optional(Type.Boolean()),
          }),
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema, 412: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const { unassign = false } = request.query
        const check = ifMatch(request, imageTag)
        const deletion = await deleteImage(db, name, { unassign, check })
        switch (deletion.kind) {
          case 'missing':
            return missing(name)
          case 'in-use':
            throw new ConflictError(
              `Image "${name}" is used: ${whatUses(deletion.usedBy)}`,
              'image-in-use',
              deletion.usedBy,
            )
          case 'deleted':
            auditImage(request, deletion.unassigned, null)
            await database.flush()
            library.sweepSoon()
            return reply.code(204).send(null)
        }
      },
    )

    app.put(
      '/images/:name/info',
      {
        config: { access: 'operator-or-agent', scope: 'images', audit: 'image.info', tagged: true },
        schema: {
          tags,
          summary: 'Replace what is known of an image, or of a version, beside its content',
          params: ReferenceParams,
          body: ImageInfoSchema,
          response: { 200: ImageSchema, 404: ErrorSchema },
        },
      },
      async (request) => {
        const { name } = request.params
        checkMayWriteImage(request, name)
        const check = ifMatch(request, imageTag)
        const { runId } = originOf(request)
        return (await saveImageInfo(db, name, request.body, { check, runId })) ?? missing(name)
      },
    )
  }
}

/** Their assignment changed with the image: whoever asks about such a machine finds that too. */
function auditImage(
  request: FastifyRequest<{ Params: { name: string } }>,
  macs: readonly string[],
  image: string | null,
): void {
  const machines = macs.map((mac) => ({ kind: 'machine', id: mac, details: { image } }))
  noteAudit(request, { targets: [{ kind: 'image', id: request.params.name }, ...machines] })
}

/** The end of a sentence that says what to do. */
function whatUses({ machines, runs }: Image['usedBy']): string {
  if (runs.length > 0)
    return `${runs.length === 1 ? `run ${runs[0]} has` : `${runs.length} runs have`} not ended; wait for that or cancel`
  const [first] = machines
  return machines.length === 1
    ? `it is assigned to machine "${first!.name}"; assign another first, or delete with unassign=true`
    : `it is assigned to ${machines.length} machines; assign others first, or delete with unassign=true`
}

function missing(name: string): never {
  throw new NotFoundError(`There is no image "${name}"`)
}
