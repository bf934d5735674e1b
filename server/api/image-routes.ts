import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import {
  type Image,
  ImageChangeSchema,
  type ImageInfo,
  ImageInfoSchema,
  ImageSchema,
} from '#protocol/image-info.ts'
import { MANIFEST_MEDIA_TYPE, MAX_MANIFEST_BYTES } from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import {
  ErrorSchema,
  IMAGE_NAME_PATTERN,
  ImageName,
  ImageReference,
  listOf,
  Sha256Text,
} from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { changeImage, deleteImage, saveImageInfo } from '#server/db/image-changes.ts'
import { findRunningPull } from '#server/db/image-pulls.ts'
import { findImage, listImages } from '#server/db/image-queries.ts'
import { ChunksMissingError } from '#server/images/commit/check-image.ts'
import { ChunkMissingError } from '#server/images/store/chunk-store.ts'
import { digestOf } from '#server/images/import/import-image.ts'
import { readStoredInfo } from '#server/images/import/stored-info.ts'
import { noteAudit } from './audit.ts'
import { ConflictError, NotFoundError } from './errors.ts'
import { ifMatch, sendTagged } from './etag.ts'
import { rethrowImageError } from './image-errors.ts'
import type { ImageLibrary } from './image-library.ts'
import { imageTag } from './image-tag.ts'
import type { OpenUploads } from './open-uploads.ts'
import { pageOf, pageQuery } from './paging.ts'
import { checkMayWriteImage, originOf, uploadHolder } from './principal-images.ts'
import { discardRest, receiveUpload, takeUploads } from './upload-body.ts'

export interface ImageRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  uploads: OpenUploads
}

const Params = Type.Object({ name: ImageName })
const ReferenceParams = Type.Object({ name: ImageReference })
/** Of what makes a version of an image. */
const Promote = Type.Optional(
  Type.Boolean({ description: 'false: the name goes on standing for what it stands for' }),
)
const tags = ['images']

export function imageRoutes(options: ImageRoutesOptions): FastifyPluginAsyncTypebox {
  const { database, library, uploads } = options
  const { db } = database

  /** An upload or pull that ends would replace what was given its name meanwhile. */
  async function checkNameIsFree(name: string): Promise<void> {
    const open = uploads.list().find((upload) => upload.name === name)
    if (open)
      throw new ConflictError(
        `An upload is about to become image "${name}"; wait for its end, or cancel it`,
        'upload-open',
        { upload: open },
      )
    if (await findRunningPull(db, name))
      throw new ConflictError(
        `Image "${name}" is being pulled from a URL; wait for its end, or cancel it`,
        'pull-running',
      )
  }

  return async (app) => {
    await app.register(uploadRoutes(options))
    await app.register(manifestRoutes(options))

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
        if (body.name !== undefined && body.name !== params.name) await checkNameIsFree(body.name)
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

function contentLength({ headers }: FastifyRequest): number | undefined {
  const text = headers['content-length']
  return text === undefined ? undefined : Number(text)
}

function missing(name: string): never {
  throw new NotFoundError(`There is no image "${name}"`)
}

/** Their bodies are streams of whatever type. */
function uploadRoutes({ database, library }: ImageRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    takeUploads(app)
    app.route({
      method: ['POST', 'PUT'],
      url: '/images/:name',
      config: { access: 'operator', scope: 'images', audit: 'image.upload', tagged: true },
      schema: {
        tags,
        summary: 'Upload an image: raw, gzip, xz, zstd, bzip2 or qcow2, as the body or in a form',
        consumes: ['application/octet-stream', 'multipart/form-data'],
        params: Params,
        querystring: Type.Object({
          sectorSize: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
          promote: Promote,
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
          check?.(await findImage(database.db, name))
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

/** What the chunk says that a commit names. Throws ChunksMissingError. */
async function storedInfo(
  { database, library }: Pick<ImageRoutesOptions, 'database' | 'library'>,
  commit: { name: string; manifest: Uint8Array; info: Sha256 },
): Promise<ImageInfo> {
  try {
    return await readStoredInfo(library.store, commit.info)
  } catch (err) {
    if (!(err instanceof ChunkMissingError)) throw err
    // Asked once more because the answer got lost: once there was the image, nothing needed the chunk.
    const newest = await findImage(database.db, `${commit.name}@latest`)
    if (newest?.digest === digestOf(commit.manifest)) return newest.info
    throw new ChunksMissingError([commit.info])
  }
}

/** Their bodies are hashed as they are, so nobody may parse them first. */
function manifestRoutes(options: ImageRoutesOptions): FastifyPluginAsyncTypebox {
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
          tags,
          summary: 'Make an image of chunks that are in the store; 409 lists those that are not',
          consumes: [MANIFEST_MEDIA_TYPE],
          params: Params,
          querystring: Type.Object({
            /** A chunk that holds what is known of the image, as `PUT /images/{name}/info` takes it. */
            info: Type.Optional(Sha256Text),
            promote: Promote,
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
