import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type Image, ImageSchema } from '#protocol/image/image-info.ts'
import { IMAGE_NAME_PATTERN } from '#protocol/shapes.ts'
import type { Database, OpenedDatabase } from '#server/db/database.ts'
import { findLink, type StoredLink, touchLink } from '#server/db/images/links.ts'
import { findRun } from '#server/db/runs/runs.ts'
import { isActive } from '#server/runs/rules.ts'
import { noteAudit } from '../access/audit.ts'
import { hashToken } from '../access/auth.ts'
import { NotFoundError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { exportedName, sendExport } from './send-export.ts'
import { discardRest, receiveUpload, takeUploads } from '../uploads/upload-body.ts'

export interface LinkedImageOptions {
  database: OpenedDatabase
  library: ImageLibrary
  now: () => Date
  /** The image of a run's link went out whole in one unranged answer. */
  onDelivered?: (runId: string, bytes: number) => Promise<void>
  /** Size that the content of a run's upload link must have, if that is known. */
  expectedUploadBytes?: (runId: string) => Promise<number | undefined>
  /** What was sent to a run's upload link became an image, or not. */
  onUploaded?: (runId: string, result: { image: Image } | { error: string }) => Promise<void>
}

const MAX_TOKEN_CHARACTERS = 128
const USE_MILLISECONDS = 60_000

/** What links open, for clients that can send no header. */
export function linkedImageRoutes(options: LinkedImageOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    await app.register(downloadRoute(options))
    await app.register(uploadRoute(options))
  }
}

const LinkParams = Type.Object({
  token: Type.String({ maxLength: MAX_TOKEN_CHARACTERS }),
  file: Type.String(),
})

async function getLink(
  { database, now }: LinkedImageOptions,
  kind: StoredLink['kind'],
  token: string,
  imageName: string,
): Promise<StoredLink> {
  const link = await findLink(database.db, hashToken(token), now())
  // One answer for every reason: who guesses learns nothing.
  if (!link || link.kind !== kind || link.imageName !== imageName)
    throw new NotFoundError('The link is not valid, or it expired; ask for a new one')
  if (link.runId !== null) await checkRun(database.db, link.runId)
  return link
}

/** Once a minute for whoever fetches in many ranges. A database that has no room to write may still read. */
async function noteUse(
  { database, now }: LinkedImageOptions,
  { hash, lastUsedAt }: StoredLink,
  log: FastifyBaseLogger,
): Promise<void> {
  const at = now()
  if (lastUsedAt && at.getTime() - lastUsedAt.getTime() < USE_MILLISECONDS) return
  await touchLink(database.db, hash, at).catch((err: unknown) =>
    log.warn({ err }, 'The use of a link could not be noted'),
  )
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

function downloadRoute(options: LinkedImageOptions): FastifyPluginAsyncTypebox {
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
        if (runId === null && request.method === 'GET') await noteUse(options, link, request.log)
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

async function uploaderOf({ database }: LinkedImageOptions, runId: string | null) {
  return runId === null ? undefined : (await findRun(database.db, runId))?.mac
}

/** Whoever has the link of a run acts for its machine. */
async function auditUpload(
  { database }: LinkedImageOptions,
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
function uploadRoute(options: LinkedImageOptions): FastifyPluginAsyncTypebox {
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
