import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import {
  type Image,
  ImageLinkSchema,
  ImageSchema,
  MAX_LINK_HOURS,
} from '#protocol/image/image-info.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { ErrorSchema, IMAGE_NAME_PATTERN, ImageReference } from '#protocol/shapes.ts'
import type { Database, OpenedDatabase } from '#server/db/database.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { findLink, type Link, saveLink } from '#server/db/images/links.ts'
import { findRun } from '#server/db/runs/runs.ts'
import { isActive } from '#server/runs/rules.ts'
import { noteAudit } from '../access/audit.ts'
import { createToken, hashToken } from '../access/auth.ts'
import { NotFoundError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { exportedName, EXPORT_SUFFIX, sendExport } from './send-export.ts'
import { discardRest, receiveUpload, takeUploads } from '../uploads/upload-body.ts'

export interface LinkRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  serverUrl: () => string
  now: () => Date
  /** The image of a run's link went out whole in one unranged answer. */
  onDelivered?: (runId: string, bytes: number) => Promise<void>
  /** Size that the content of a run's upload link must have, if that is known. */
  expectedUploadBytes?: (runId: string) => Promise<number | undefined>
  /** What was sent to a run's upload link became an image, or not. */
  onUploaded?: (runId: string, result: { image: Image } | { error: string }) => Promise<void>
}

const DEFAULT_LINK_SECONDS = 24 * 3600
const MAX_LINK_SECONDS = MAX_LINK_HOURS * 3600
const MAX_TOKEN_CHARACTERS = 128

/** Addresses that need no header, for clients that can send none. */
export function linkRoutes(options: LinkRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    await app.register(createRoute(options), { prefix: '/api' })
    await app.register(downloadRoute(options))
    await app.register(uploadRoute(options))
  }
}

/** Makes a link; its address is the only place where the token is. */
export async function createLink(
  { database, serverUrl }: Pick<LinkRoutesOptions, 'database' | 'serverUrl'>,
  link: Link,
  suffix = EXPORT_SUFFIX,
): Promise<string> {
  const token = createToken()
  await saveLink(database.db, hashToken(token), link)
  return `${serverUrl()}/l/${token}/${link.imageName}${link.kind === 'download' ? suffix : ''}`
}

const SUFFIXES = { gz: '.img.gz', zst: '.img.zst', raw: '.img', qcow2: '.qcow2' }

const LinkRequest = Type.Object(
  {
    expiresInSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LINK_SECONDS })),
    /** Of the file; the same token is good for the others too. */
    format: Type.Optional(Type.Enum(['gz', 'zst', 'raw', 'qcow2'])),
  },
  { additionalProperties: false },
)

function createRoute(options: LinkRoutesOptions): FastifyPluginAsyncTypebox {
  const { database, now } = options
  return async (app) => {
    app.post(
      '/images/:name/links',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.link', idempotency: 'secret' },
        schema: {
          tags: ['images'],
          summary: 'Make an expiring address of the image that needs no header',
          params: Type.Object({ name: ImageReference }),
          // Fastify's word for no body is null.
          body: Type.Optional(Type.Union([LinkRequest, Type.Null()])),
          response: { 201: ImageLinkSchema, 404: ErrorSchema },
        },
      },
      async ({ params: { name }, body }, reply) => {
        const image = await findImage(database.db, name)
        if (!image) throw new NotFoundError(`There is no image "${name}"`)
        const seconds = body?.expiresInSeconds ?? DEFAULT_LINK_SECONDS
        const expiresAt = new Date(now().getTime() + seconds * 1000)
        const link: Link = {
          kind: 'download',
          imageName: name,
          digest: parseSha256(image.digest),
          runId: null,
          expiresAt,
        }
        const url = await createLink(options, link, SUFFIXES[body?.format ?? 'gz'])
        return reply.code(201).send({ url, expiresAt: expiresAt.toISOString() })
      },
    )
  }
}

const LinkParams = Type.Object({
  token: Type.String({ maxLength: MAX_TOKEN_CHARACTERS }),
  file: Type.String(),
})

async function getLink(
  { database, now }: LinkRoutesOptions,
  kind: Link['kind'],
  token: string,
  imageName: string,
): Promise<Link> {
  const link = await findLink(database.db, hashToken(token), now())
  // One answer for every reason: who guesses learns nothing.
  if (!link || link.kind !== kind || link.imageName !== imageName)
    throw new NotFoundError('The link is not valid, or it expired; ask for a new one')
  if (link.runId !== null) await checkRun(database.db, link.runId)
  return link
}

/** BOOTy cannot be told that its run was cancelled, but it can be given nothing. */
async function checkRun(db: Database, runId: string): Promise<void> {
  const run = await findRun(db, runId)
  if (!run || !isActive(run) || run.cancelRequested)
    throw new NotFoundError('The run that this link was made for is over', 'run-over')
}

/** What comes of a capture that was cancelled meanwhile must not become the image of its name. */
async function* whileRunning(db: Database, runId: string, content: AsyncIterable<Uint8Array>) {
  yield* content
  await checkRun(db, runId)
}

function downloadRoute(options: LinkRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.route({
      method: ['GET', 'HEAD'],
      url: '/l/:token/:file',
      config: { access: 'public' },
      schema: { tags: ['images'], summary: 'An image by its link', params: LinkParams },
      handler: async (request, reply) => {
        const { token, file } = request.params
        const { name, format } = exportedName(file)
        const link = await getLink(options, 'download', token, name)
        const opened =
          link.digest &&
          (await options.library.findExport(link.digest, format).catch(rethrowImageError))
        if (!opened) throw new NotFoundError('The image of this link was deleted')
        const { runId } = link
        return sendExport(request, reply, opened, {
          fileName: file,
          ...(runId !== null && {
            onDelivered: async (bytes: number) => options.onDelivered?.(runId, bytes),
          }),
        })
      },
    })
  }
}

async function uploaderOf({ database }: LinkRoutesOptions, runId: string | null) {
  return runId === null ? undefined : (await findRun(database.db, runId))?.mac
}

/** Whoever has the link of a run acts for its machine. */
async function auditUpload(
  { database }: LinkRoutesOptions,
  request: FastifyRequest,
  { name, runId }: { name: string; runId: string | null },
): Promise<void> {
  const run = runId === null ? undefined : await findRun(database.db, runId)
  noteAudit(request, {
    ...(run && { actor: { kind: 'agent', name: run.mac } }),
    targets: [{ kind: 'image', id: name }],
    details: runId === null ? undefined : { run: runId },
  })
}

/** BOOTy posts a form of one file, and does not read our answer. */
function uploadRoute(options: LinkRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    takeUploads(app)
    app.route({
      method: ['POST', 'PUT'],
      url: '/l/:token/:file',
      config: { access: 'public', audit: 'image.upload', auditUnless: [404] },
      schema: {
        tags: ['images'],
        summary: 'Upload an image by a link',
        consumes: ['application/octet-stream', 'multipart/form-data'],
        params: Type.Object({
          token: LinkParams.properties.token,
          file: Type.String({ pattern: IMAGE_NAME_PATTERN }),
        }),
        response: { 201: ImageSchema },
      },
      handler: async (request, reply) => {
        const { token, file: name } = request.params
        const { database } = options
        const { runId } = await getLink(options, 'upload', token, name)
        await auditUpload(options, request, { name, runId })
        const tell = async (result: { image: Image } | { error: string }) => {
          if (runId !== null) await options.onUploaded?.(runId, result)
        }
        try {
          const { content, fileName } = await receiveUpload(request.raw)
          const sizeBytes = runId !== null && (await options.expectedUploadBytes?.(runId))
          const image = await options.library.upload({
            name,
            body: runId === null ? content : whileRunning(database.db, runId, content),
            sectorBytes: undefined,
            ...(runId !== null && { runId }),
            createdBy: await uploaderOf(options, runId),
            ...(sizeBytes && { sizeBytes }),
            source: fileName === undefined ? undefined : `upload of ${fileName}`,
          })
          await tell({ image })
          return await reply.code(201).send(image)
        } catch (err) {
          request.log.warn({ err, image: name }, 'Upload failed')
          await tell({ error: (err as Error).message })
          discardRest(request.raw)
          return rethrowImageError(err)
        }
      },
    })
  }
}
