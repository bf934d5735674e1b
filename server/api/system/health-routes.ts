import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { sql } from 'drizzle-orm'
import { Type } from 'typebox'
import type { Registry } from 'prom-client'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { UnavailableError } from '../http/errors.ts'

export interface HealthRoutesOptions {
  db: Database
  metrics: Registry
}

/** For whoever watches this server; without a token. */
export function healthRoutes({ db, metrics }: HealthRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/healthz',
      {
        config: { access: 'public' },
        schema: {
          summary: 'Whether the server and its database answer',
          response: { 200: Type.Object({ status: Type.Literal('ok') }), 503: ErrorSchema },
        },
      },
      async (request) => {
        try {
          await db.execute(sql`select 1`)
        } catch (err) {
          request.log.error({ err }, 'The database does not answer')
          throw new UnavailableError('The database does not answer', 'database-unreachable')
        }
        return { status: 'ok' as const }
      },
    )

    app.get(
      '/metrics',
      { config: { access: 'public' }, schema: { summary: 'Figures for Prometheus' } },
      async (_request, reply) => {
        return reply.type(metrics.contentType).send(await metrics.metrics())
      },
    )
  }
}
