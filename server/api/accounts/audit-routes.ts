import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { AuditEntrySchema } from '#protocol/account.ts'
import { MAC_PATTERN, parseMac } from '#protocol/mac.ts'
import { listOf } from '#protocol/shapes.ts'
import { listAudit } from '#server/db/accounts/audit.ts'
import type { Database } from '#server/db/database.ts'
import { BadRequestError } from '../http/errors.ts'
import { pageOf, pageQuery } from '../http/paging.ts'

const Text = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }))
/** Beyond what any sequence of ours will reach. */
const ENTRY_ID_PATTERN = '^\\d{1,15}$'

/** Who did what: read by admins, changed by nobody. */
export function auditRoutes({ db }: { db: Database }): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/audit',
      {
        config: { access: 'admin' },
        schema: {
          tags: ['accounts'],
          summary: 'List who changed what, newest first; refused attempts too',
          querystring: Type.Object({
            actor: Text,
            action: Text,
            target: Text,
            from: Text,
            to: Text,
            ...pageQuery(ENTRY_ID_PATTERN),
          }),
          response: { 200: listOf(AuditEntrySchema) },
        },
      },
      async ({ query }) => {
        const { actor, action, target } = query
        const { limit, after } = pageOf(query)
        const filter = {
          actor,
          action,
          targets: target === undefined ? undefined : spellings(target),
          from: parseMoment('from', query.from),
          to: parseMoment('to', query.to),
        }
        return listAudit(db, filter, { limit, after: after === undefined ? after : Number(after) })
      },
    )
  }
}

/** A machine is found by any spelling of its MAC. */
function spellings(target: string): string[] {
  return new RegExp(MAC_PATTERN).test(target) ? [target, parseMac(target)] : [target]
}

function parseMoment(name: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const moment = new Date(text)
  if (Number.isNaN(moment.getTime()))
    throw new BadRequestError(
      `The query is not valid: ${name} is "${text}" but must be a time such as 2026-05-01T12:00:00Z`,
    )
  return moment
}
