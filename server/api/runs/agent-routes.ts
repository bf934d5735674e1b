import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { Clean } from 'typebox/value'
import {
  HelloAnswerSchema,
  HelloSchema,
  LogSchema,
  ReportAnswerSchema,
  ReportSchema,
  ResultSchema,
} from '#protocol/run/agent.ts'
import { InventorySchema, type Inventory } from '#protocol/machine/inventory.ts'
import { parseMac } from '#protocol/mac.ts'
import { RunSchema } from '#protocol/run/run.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { saveInventoryAfterRun } from '#server/db/machines/machines.ts'
import { toRun } from '#server/db/runs/runs.ts'
import { sayHello } from '#server/runs/hello.ts'
import { appendRunLog, resultRun, type SignReceipt } from '#server/runs/moves.ts'
import type { RunReports } from '#server/runs/reports.ts'
import { createToken, hashToken, type AgentSession } from '../access/auth.ts'
import { BadRequestError, ForbiddenError } from '../http/errors.ts'
import { RunParams } from './run-routes.ts'

/** Counters are 32-bit columns; no run comes near. */
const MAX_COUNTER = 2 ** 31 - 1
const tags = ['agent']
const Refusals = { 400: ErrorSchema, 401: ErrorSchema, 409: ErrorSchema }

export interface AgentRoutesOptions {
  database: OpenedDatabase
  reports: RunReports
  signReceipt: SignReceipt
  now: () => Date
}

export function agentRoutes({
  database,
  reports,
  signReceipt,
  now,
}: AgentRoutesOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    app.post(
      '/hello',
      {
        config: { access: 'public' },
        schema: {
          tags,
          summary: 'Swap a boot token for a session and its run',
          body: HelloSchema,
          response: { 200: HelloAnswerSchema, ...Refusals },
        },
      },
      async ({ body, log }) => {
        const sessionToken = createToken()
        const mac = parseMac(body.mac)
        const request = {
          bootTokenHash: hashToken(body.bootToken),
          sessionTokenHash: hashToken(sessionToken),
          mac,
          inventory: clean(body.inventory),
        }
        const run = await sayHello(db, request, now())
        if (run) reports.forget(run.id)
        log.info({ mac, run: run?.id, attempt: run?.attempt }, 'Agent said hello')
        return { sessionToken, run }
      },
    )

    app.post(
      '/runs/:id/reports',
      {
        config: { access: 'agent' },
        schema: {
          tags,
          summary: 'Tell how far a step is; hear whether to go on',
          params: RunParams,
          body: ReportSchema,
          response: { 200: ReportAnswerSchema, ...Refusals },
        },
      },
      async (request) => {
        sessionOf(request)
        checkCounter('sequence', request.body.sequence)
        return reports.report(request.params.id, request.body, now())
      },
    )

    app.post(
      '/runs/:id/log',
      {
        config: { access: 'agent' },
        schema: {
          tags,
          summary: "Add lines to the run's log; those that are there already are ignored",
          params: RunParams,
          body: LogSchema,
          response: { 204: Type.Null(), ...Refusals },
        },
      },
      async (request, reply) => {
        const { attempt } = sessionOf(request)
        const { body } = request
        checkCounter('offset', body.offset + body.lines.length)
        await appendRunLog(db, request.params.id, attempt, body, now())
        return reply.code(204).send(null)
      },
    )

    app.post(
      '/runs/:id/result',
      {
        config: { access: 'agent' },
        schema: {
          tags,
          summary: 'Tell how the run ended',
          params: RunParams,
          body: ResultSchema,
          response: { 200: RunSchema, 422: ErrorSchema, ...Refusals },
        },
      },
      async (request) => {
        const { attempt } = sessionOf(request)
        const { inventory, ...body } = request.body
        await reports.save(request.params.id)
        const run = await resultRun(db, request.params.id, attempt, body, now(), signReceipt)
        reports.forget(run.id)
        if (inventory && run.finishedAt)
          await saveInventoryAfterRun(db, run.mac, clean(inventory), run.finishedAt)
        // Before the agent reboots: a run forgotten in a power cut would be done once more. A busy
        // disk may take longer than the agent waits, who then asks again.
        await database.flush()
        request.log.info({ mac: run.mac, run: run.id, state: run.state }, 'Run ended')
        return toRun(run)
      },
    )
  }
}

/** The session of an agent that calls about its own run. */
function sessionOf(request: FastifyRequest<{ Params: { id: string } }>): AgentSession {
  const { principal, params } = request
  if (principal.kind !== 'agent' || principal.session.run?.id !== params.id)
    throw new ForbiddenError(`The token is not one for run ${params.id}`, 'other-run')
  return principal.session
}

/** What the schema does not know is not kept. */
function clean(inventory: Inventory): Inventory {
  return Clean(InventorySchema, inventory) as Inventory
}

function checkCounter(name: string, value: number): void {
  if (value > MAX_COUNTER)
    throw new BadRequestError(`The ${name} is ${value} but ends at ${MAX_COUNTER}`)
}
