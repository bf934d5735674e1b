import { randomUUIDv7 } from 'node:crypto'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  CreatedImageLinkSchema,
  ImageLinkSchema,
  MAX_LINK_HOURS,
} from '#protocol/image/image-link.ts'
import { UUID_PATTERN } from '#protocol/names.ts'
import { ErrorSchema, ImageReference, listOf } from '#protocol/shapes.ts'
import type { Database, OpenedDatabase, Transaction } from '#server/db/database.ts'
import { findImageDigest } from '#server/db/images/image-digest.ts'
import { type Link, listLinks, revokeLink, saveLink, toImageLink } from '#server/db/images/links.ts'
import { noteAudit } from '../access/audit.ts'
import { createToken, hashToken } from '../access/auth.ts'
import { NotFoundError } from '../http/errors.ts'
import { pageOf, pageQuery } from '../http/paging.ts'
import { originOf } from '../library/principal-images.ts'
import { EXPORT_SUFFIX } from './send-export.ts'

interface LinkRoutesOptions {
  database: OpenedDatabase
  serverUrl: () => string
  now: () => Date
}

const DEFAULT_LINK_SECONDS = 24 * 3600
const MAX_LINK_SECONDS = MAX_LINK_HOURS * 3600
const SUFFIXES = { gz: '.img.gz', zst: '.img.zst', raw: '.img', qcow2: '.qcow2' }
const tags = ['images']
const scope = 'images'

/** Saves a link; its address is the only place where the token is. */
export async function createLink(
  { db, serverUrl }: { db: Database | Transaction; serverUrl: () => string },
  link: Link,
  suffix = EXPORT_SUFFIX,
): Promise<string> {
  const token = createToken()
  await saveLink(db, hashToken(token), link)
  return `${serverUrl()}/l/${token}/${link.imageName}${link.kind === 'download' ? suffix : ''}`
}

const LinkRequest = Type.Object(
  {
    expiresInSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LINK_SECONDS })),
    /** Of the file; the same token is good for the others too. */
    format: Type.Optional(Type.Enum(['gz', 'zst', 'raw', 'qcow2'])),
  },
  { additionalProperties: false },
)

/** Making, listing and revoking links. */
export function linkRoutes(options: LinkRoutesOptions): FastifyPluginAsyncTypebox {
  const { database, serverUrl, now } = options
  const { db } = database
  return async (app) => {
    app.post(
      '/images/:name/links',
      {
        config: { access: 'operator', scope, audit: 'image.link', idempotency: 'secret' },
        schema: {
          tags,
          summary: 'Make an expiring address of the image that needs no header',
          params: Type.Object({ name: ImageReference }),
          // Fastify's word for no body is null.
          body: Type.Optional(Type.Union([LinkRequest, Type.Null()])),
          response: { 201: CreatedImageLinkSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const { expiresInSeconds = DEFAULT_LINK_SECONDS, format = 'gz' } = request.body ?? {}
        const createdAt = now()
        // Whoever deletes the image meanwhile waits, and ends the link with it.
        const { link, url } = await db.transaction(async (tx) => {
          const digest = await findImageDigest(tx, name)
          if (!digest) throw new NotFoundError(`There is no image "${name}"`)
          const link: Link = {
            id: randomUUIDv7(),
            kind: 'download',
            imageName: name,
            digest,
            runId: null,
            createdAt,
            createdBy: originOf(request).createdBy,
            expiresAt: new Date(createdAt.getTime() + expiresInSeconds * 1000),
          }
          return { link, url: await createLink({ db: tx, serverUrl }, link, SUFFIXES[format]) }
        })
        await database.flush()
        noteAudit(request, { details: { link: link.id } })
        return reply.code(201).send({ ...toImageLink({ ...link, lastUsedAt: null }), url })
      },
    )

    app.get(
      '/links',
      {
        schema: {
          tags,
          summary: 'List links that are still good, newest first; without their addresses',
          querystring: Type.Object({
            ...pageQuery(UUID_PATTERN),
            /** A name alone means all versions of the image. */
            image: Type.Optional(ImageReference),
          }),
          response: { 200: listOf(ImageLinkSchema) },
        },
      },
      async ({ query }) => listLinks(db, { ...pageOf(query), image: query.image }, now()),
    )

    app.delete(
      '/links/:id',
      {
        config: { access: 'operator', scope, audit: 'image.unlink' },
        schema: {
          tags,
          summary: 'Revoke a link: it opens nothing any more; a download that began goes on',
          params: Type.Object({ id: Type.String({ pattern: UUID_PATTERN }) }),
          response: { 204: Type.Null(), 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { id } = request.params
        const link = await revokeLink(db, id, now())
        if (!link) throw new NotFoundError(`There is no link ${id}, or it is over already`)
        await database.flush()
        noteAudit(request, { targets: [{ kind: 'image', id: link.image }], details: { link: id } })
        return reply.code(204).send(null)
      },
    )
  }
}
