import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger } from 'fastify'
import { Type } from 'typebox'
import { parseMac } from '#protocol/mac.ts'
import { RunDetailSchema, RunRequestSchema, RunSchema, RunStateSchema } from '#protocol/run.ts'
import { ErrorSchema, listOf, MacText } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findMachineRow } from '#server/db/machines.ts'
import { findRun, listRuns, readLogEnd, toRun } from '#server/db/runs.ts'
import { createRun } from '#server/runs/create-run.ts'
import { cancelRun } from '#server/runs/moves.ts'
import { NotFoundError } from './errors.ts'
import { checkNetwork } from './machine-routes.ts'
import { pageOf, pageQuery } from './paging.ts'

export const UUID_PATTERN = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
export const RunParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN }) })
const tags = ['runs']

export interface RunRoutesOptions {
  database: OpenedDatabase
  now: () => Date
}

export function runRoutes({ database, now }: RunRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    app.post(
      '/runs',
      {
        config: { access: 'operator', scope: 'runs', audit: 'run.create' },
        schema: {
          tags,
          summary: 'Start a workflow on a machine at its next boot',
          body: RunRequestSchema,
          response: { 201: RunSchema, 409: ErrorSchema, 422: ErrorSchema },
        },
      },
      async ({ body, log }, reply) => {
        checkNetwork(body.network)
        const run = await createRun(db, body, now())
        flushSoon(database, log)
        return reply.code(201).header('location', `/api/runs/${run.id}`).send(run)
      },
    )

    app.get(
      '/runs',
      {
        schema: {
          tags,
          summary: 'List runs, newest first',
          querystring: Type.Object({
            mac: Type.Optional(MacText),
            state: Type.Optional(RunStateSchema),
            ...pageQuery(UUID_PATTERN),
          }),
          response: { 200: listOf(RunSchema) },
        },
      },
      async ({ query }) => {
        const mac = query.mac === undefined ? undefined : parseMac(query.mac)
        const machine = mac && ((await findMachineRow(db, mac))?.mac ?? mac)
        return listRuns(db, { machine, state: query.state }, pageOf(query))
      },
    )

    app.get(
      '/runs/:id',
      {
        schema: {
          tags,
          summary: "Read a run with the end of its agent's log",
          params: RunParams,
          response: { 200: RunDetailSchema, 404: ErrorSchema },
        },
      },
      async ({ params }) => {
        const row = await findRun(db, params.id)
        if (!row) throw new NotFoundError(`There is no run ${params.id}`)
        return { ...toRun(row), log: await readLogEnd(db, row.id, row.attempts) }
      },
    )

    app.post(
      '/runs/:id/cancel',
      {
        config: { access: 'operator', scope: 'runs', audit: 'run.cancel' },
        schema: {
          tags,
          summary: "Cancel a run: at once if queued, else at its agent's next report",
          params: RunParams,
          response: { 200: RunSchema, 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async ({ params, log }) => {
        const run = await cancelRun(db, params.id, now())
        flushSoon(database, log)
        return run
      },
    )
  }
}

/** An operator sees it when a power cut undid a call; a busy disk is no reason to keep them waiting. */
function flushSoon(database: OpenedDatabase, log: FastifyBaseLogger): void {
  database.flush().catch((err: unknown) => log.error({ err }, 'The database could not be flushed'))
}
