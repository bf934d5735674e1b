import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ImageSchema } from '#protocol/image/image-info.ts'
import {
  type ImageVersion,
  ImageVersionSchema,
  type RetentionRule,
  RetentionRuleSchema,
  RetentionSchema,
  VersionNumber,
} from '#protocol/image/image-version.ts'
import { ErrorSchema, ImageName, listOf } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { deleteVersion, promoteVersion } from '#server/db/images/image-changes.ts'
import { previewRetention, saveRetention } from '#server/db/images/image-retention.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { listVersions } from '#server/db/images/image-versions.ts'
import { noteAudit } from '../access/audit.ts'
import { ConflictError, NotFoundError, RequestError } from '../http/errors.ts'
import { entityTag, ifMatch, sendTagged } from '../http/etag.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { imageTag } from '../library/image-tag.ts'
import { originOf } from '../library/principal-images.ts'

export interface VersionRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
  /** Which versions are kept of an image of which nothing was said. */
  retention: RetentionRule
  now: () => Date
}

const tags = ['images']
const Params = Type.Object({ name: ImageName })
const VersionParams = Type.Object({ name: ImageName, version: VersionNumber })
const failures = { 404: ErrorSchema, 409: ErrorSchema, 412: ErrorSchema }

/** What a name stood for, stands for, and how long the rest is kept. */
export function versionRoutes(options: VersionRoutesOptions): FastifyPluginAsyncTypebox {
  const { database, library, now } = options
  const { db } = database
  return async (app) => {
    await app.register(retentionRoutes(options))

    app.get(
      '/images/:name/versions',
      {
        schema: {
          tags,
          summary: 'List the versions of an image, newest first',
          params: Params,
          response: { 200: listOf(ImageVersionSchema), 404: ErrorSchema },
        },
      },
      async ({ params: { name } }) => {
        if (!(await findImage(db, name))) missing(name)
        return { items: await listVersions(db, name, now()), next: null }
      },
    )

    app.post(
      '/images/:name/versions/:version/promote',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.promote', tagged: true },
        schema: {
          tags,
          summary:
            'Make the name stand for this version: machines that have it follow at their next deploy',
          params: VersionParams,
          response: { 200: ImageSchema, 404: ErrorSchema, 412: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { name, version } = request.params
        const by = originOf(request).createdBy
        const check = ifMatch(request, imageTag)
        const promoted = await promoteVersion(db, { name, version, by }, new Date(), check)
        switch (promoted.kind) {
          case 'missing':
            return missing(name)
          case 'missing-version':
            return missing(name, version)
          case 'promoted': {
            const { image, followers } = promoted
            const machines = followers.map((id) => ({
              kind: 'machine',
              id,
              details: { image: name },
            }))
            noteAudit(request, {
              targets: [{ kind: 'image', id: name }, ...machines],
              details: { version, digest: image.digest },
            })
            await database.flush()
            return sendTagged(request, reply, imageTag(image), image)
          }
        }
      },
    )

    app.delete(
      '/images/:name/versions/:version',
      {
        config: {
          access: 'operator',
          scope: 'images',
          audit: 'image.delete-version',
          tagged: true,
        },
        schema: {
          tags,
          summary: 'Delete a version that the name does not stand for and nothing uses',
          params: VersionParams,
          response: { 204: Type.Null(), ...failures },
        },
      },
      async (request, reply) => {
        const { name, version } = request.params
        noteAudit(request, { details: { version } })
        const check = ifMatch(request, imageTag)
        const deletion = await deleteVersion(db, { name, version }, now(), check)
        switch (deletion.kind) {
          case 'missing':
            return missing(name, version)
          case 'promoted':
            throw new ConflictError(
              `Image "${name}" stands for version ${version}; promote another first, or delete the image`,
              'version-promoted',
            )
          case 'in-use':
            throw new ConflictError(
              `Version ${version} of image "${name}" is used: ${whatUses(deletion.usedBy)}`,
              'image-in-use',
              deletion.usedBy,
            )
          case 'deleted':
            await database.flush()
            library.sweepSoon()
            return reply.code(204).send(null)
        }
      },
    )
  }
}

const nullableRule = Type.Object(
  {
    keepVersions: Type.Optional(RetentionRuleSchema.properties.keepVersions),
    keepDays: Type.Optional(RetentionRuleSchema.properties.keepDays),
    /** Goes by the settings of the server again. */
    useDefault: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

function retentionRoutes({
  database,
  library,
  retention: standard,
  now,
}: VersionRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  const { keepVersions, keepDays } = RetentionRuleSchema.properties
  const [versions] = keepVersions.anyOf
  const [days] = keepDays.anyOf
  return async (app) => {
    app.get(
      '/images/:name/retention',
      {
        config: { tagged: true },
        schema: {
          tags,
          summary:
            'Which versions are kept and which would go, by the rule there is or one asked about',
          params: Params,
          querystring: Type.Object({
            keepVersions: Type.Optional(versions),
            keepDays: Type.Optional(days),
            keepAll: Type.Optional(Type.Boolean()),
            useDefault: Type.Optional(Type.Boolean()),
          }),
          response: { 200: RetentionSchema, 404: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { params, query } = request
        const rule = askedRule(query)
        const given = { standard, times: { now: now(), today: new Date() } }
        const shown = await previewRetention(db, params.name, { rule, ...given })
        if (!shown) return missing(params.name)
        const stored = rule === undefined ? shown : await previewRetention(db, params.name, given)
        return sendTagged(request, reply, ruleTag(stored ?? shown), shown)
      },
    )

    app.put(
      '/images/:name/retention',
      {
        config: { access: 'operator', scope: 'images', audit: 'image.retention', tagged: true },
        schema: {
          tags,
          summary:
            'Say which versions are kept, and remove the others at once; what is used always stays',
          params: Params,
          body: nullableRule,
          response: { 200: RetentionSchema, 404: ErrorSchema, 412: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        const rule = saidRule(body)
        const check = ifMatch(request, ruleTag)
        const options = { rule, standard, times: { now: now(), today: new Date() } }
        const saved = await saveRetention(db, params.name, options, check)
        if (!saved) return missing(params.name)
        noteAudit(request, { details: { ...body, removed: saved.removed } })
        await database.flush()
        library.sweepSoon()
        return sendTagged(request, reply, ruleTag(saved), saved)
      },
    )
  }
}

/** The rule that is to be: null is that of the settings, and one without limits keeps all. */
function saidRule({
  keepVersions = null,
  keepDays = null,
  useDefault,
}: Partial<RetentionRule> & { useDefault?: boolean }): RetentionRule | null {
  if (!useDefault) return { keepVersions, keepDays }
  if (keepVersions !== null || keepDays !== null)
    throw contradiction('Give keepVersions and keepDays, or useDefault, not both')
  return null
}

function contradiction(message: string): RequestError {
  return new RequestError(422, 'retention-contradicts', message)
}

/** The rule that a question is about: null is that of the settings, undefined what there is. */
function askedRule({
  keepVersions = null,
  keepDays = null,
  keepAll,
  useDefault,
}: Partial<RetentionRule> & { keepAll?: boolean; useDefault?: boolean }) {
  const isLimited = keepVersions !== null || keepDays !== null
  if (Number(isLimited) + Number(!!keepAll) + Number(!!useDefault) > 1)
    throw contradiction(
      'Ask about keepVersions and keepDays, about keepAll, or about useDefault, not about several',
    )
  if (useDefault) return null
  return isLimited || keepAll ? { keepVersions, keepDays } : undefined
}

function ruleTag({ keepVersions, keepDays }: RetentionRule): string {
  return entityTag({ keepVersions, keepDays })
}

/** The end of a sentence that says what to do. */
function whatUses({ machines, runs }: ImageVersion['usedBy']): string {
  if (runs.length > 0)
    return `${runs.length === 1 ? `run ${runs[0]} has` : `${runs.length} runs have`} not ended; wait for that or cancel`
  return `it is assigned by its number to ${machines.map(({ name }) => `"${name}"`).join(', ')}; assign another first`
}

function missing(name: string, version?: number): never {
  throw new NotFoundError(
    version === undefined
      ? `There is no image "${name}"`
      : `There is no version ${version} of image "${name}"`,
  )
}
