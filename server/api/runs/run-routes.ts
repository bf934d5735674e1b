import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger } from 'fastify'
import { Type } from 'typebox'
import { parseMac } from '#protocol/mac.ts'
import { UUID_PATTERN } from '#protocol/names.ts'
import {
  ACTIVE_RUN_STATES,
  FINAL_RUN_STATES,
  LogLineSchema,
  RunDetailSchema,
  RunSchema,
  WorkflowSchema,
  type RunState,
} from '#protocol/run/run.ts'
import { ErrorSchema, ImageReference, listOf, MacText } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findMachineRow } from '#server/db/machines/machines.ts'
import { listLog, readLogEnd } from '#server/db/runs/run-logs.ts'
import { findRun, listRuns, toRun } from '#server/db/runs/runs.ts'
import { cancelRun } from '#server/runs/moves.ts'
import type { RunReports } from '#server/runs/reports.ts'
import { NotFoundError } from '../http/errors.ts'
import { pageOf, pageQuery } from '../http/paging.ts'

export const RunParams = Type.Object({ id: Type.String({ pattern: UUID_PATTERN }) })
const STATES = [...ACTIVE_RUN_STATES, ...FINAL_RUN_STATES].join('|')
const STATES_PATTERN = `^(${STATES})(,(${STATES}))*$`
const MAX_COUNTER = 2 ** 31 - 1
const DEFAULT_LOG_PAGE_LINES = 500
const MAX_LOG_PAGE_LINES = 5000
const tags = ['runs']

export interface RunRoutesOptions {
  database: OpenedDatabase
  reports: RunReports
  now: () => Date
}

export function runRoutes({ database, reports, now }: RunRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    app.get(
      '/runs',
      {
        schema: {
          tags,
          summary: 'List runs, newest first',
          querystring: Type.Object({
            mac: Type.Optional(MacText),
            state: Type.Optional(
              Type.String({
                pattern: STATES_PATTERN,
                description: 'One state, or several with commas between them',
              }),
            ),
            workflow: Type.Optional(WorkflowSchema),
            image: Type.Optional(ImageReference),
            plan: Type.Optional(Type.String({ pattern: UUID_PATTERN })),
            active: Type.Optional(
              Type.Boolean({
                description: 'true: only those that have not ended; false: the others',
              }),
            ),
            ...pageQuery(UUID_PATTERN),
          }),
          response: { 200: listOf(RunSchema) },
        },
      },
      async ({ query }) => {
        const mac = query.mac === undefined ? undefined : parseMac(query.mac)
        const machine = mac && ((await findMachineRow(db, mac))?.mac ?? mac)
        const { workflow, image, plan, active } = query
        const states = query.state?.split(',') as RunState[] | undefined // as the pattern says
        return listRuns(db, { machine, states, workflow, image, plan, active }, pageOf(query))
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
        return {
          ...toRun(reports.withProgress(row)),
          log: await readLogEnd(db, row.id, row.attempts),
        }
      },
    )

    app.get(
      '/runs/:id/log',
      {
        schema: {
          tags,
          summary: "Read an agent's log, oldest line first",
          params: RunParams,
          querystring: Type.Object({
            attempt: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: MAX_COUNTER,
                description: 'Absent: the last one',
              }),
            ),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_LOG_PAGE_LINES })),
            after: Type.Optional(
              Type.String({
                pattern: '^\\d{1,9}$',
                description: 'The offset of the last line that is known; new lines come after it',
              }),
            ),
          }),
          response: { 200: listOf(LogLineSchema), 404: ErrorSchema },
        },
      },
      async ({ params, query }) => {
        const run = await findRun(db, params.id)
        if (!run) throw new NotFoundError(`There is no run ${params.id}`)
        const { attempt = run.attempts, limit = DEFAULT_LOG_PAGE_LINES } = query
        const after = query.after === undefined ? -1 : Number(query.after)
        return listLog(db, { runId: run.id, attempt }, { after, limit })
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
        reports.forget(run.id)
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
