import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifySchemaCompiler } from 'fastify'
import { Type, type TSchema } from 'typebox'
import { PlannedRunRequestSchema, PlannedRunsSchema } from '#protocol/run/plan.ts'
import { RunRequestSchema, RunSchema } from '#protocol/run/run.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { Database, OpenedDatabase } from '#server/db/database.ts'
import { findPlan } from '#server/db/runs/plans.ts'
import { createPlannedRuns, type Starter } from '#server/runs/create-planned-runs.ts'
import { createRun } from '#server/runs/create-run.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import { checkNetwork } from '../machines/machine-routes.ts'
import type { Principal } from '../access/principal.ts'
import { compileValidator } from '../http/validator.ts'

export interface RunStartOptions {
  database: OpenedDatabase
  /** Throws StoreFullError or DatabaseFullError if there is no room for another image. */
  checkCapture: () => Promise<void>
  now: () => Date
}

/** Runs begin here: of a plan that somebody read, or as the caller says. */
export function runStartRoutes({
  database,
  checkCapture,
  now,
}: RunStartOptions): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    app.post(
      '/runs',
      {
        config: { access: 'operator', scope: 'runs', audit: 'run.create' },
        validatorCompiler: validateByKind,
        schema: {
          tags: ['runs'],
          summary: 'Start a workflow at the next boot of a machine, or what a plan says',
          body: Type.Union([RunRequestSchema, PlannedRunRequestSchema]),
          response: {
            201: Type.Union([RunSchema, PlannedRunsSchema]),
            403: ErrorSchema,
            404: ErrorSchema,
            409: ErrorSchema,
            422: ErrorSchema,
            507: ErrorSchema,
          },
        },
      },
      async ({ body, principal, log }, reply) => {
        if (await isCapture(db, body)) await checkCapture().catch(rethrowImageError)
        const made =
          'plan' in body
            ? await createPlannedRuns(db, body, starterOf(principal), now())
            : await createRun(db, checked(body), now())
        // An operator sees it when a power cut undid a call; a busy disk is no reason to wait.
        database
          .flush()
          .catch((err: unknown) => log.error({ err }, 'The database could not be flushed'))
        if ('id' in made) void reply.header('location', `/api/runs/${made.id}`)
        return reply.code(201).send(made)
      },
    )
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

async function isCapture(
  db: Database,
  body: { plan: string } | { workflow: string },
): Promise<boolean> {
  if ('workflow' in body) return body.workflow === 'capture'
  if (!UUID.test(body.plan)) return false
  return (await findPlan(db, body.plan))?.request.workflow === 'capture'
}

function checked<Body extends { network?: Parameters<typeof checkNetwork>[0] }>(body: Body): Body {
  checkNetwork(body.network)
  return body
}

/** No user's name has a space: one who is called "admin" is not taken for the admin token. */
const ADMIN_TOKEN_NAME = 'admin token'

export function starterOf(principal: Principal): Starter {
  if (principal.kind !== 'person') throw new Error('Only people and their programs start runs')
  const { userId, name, role } = principal
  return { name: userId === null ? ADMIN_TOKEN_NAME : name, isAdmin: role === 'admin' }
}

/** By the kind that is meant, so that an error names what is wrong and not both ways to be right. */
const validateByKind: FastifySchemaCompiler<TSchema> = (route) => {
  if (route.httpPart !== 'body') return compileValidator(route)
  const planned = compileValidator({ ...route, schema: PlannedRunRequestSchema })
  const plain = compileValidator({ ...route, schema: RunRequestSchema })
  return (body) => (isPlanned(body) ? planned : plain)(body)
}

function isPlanned(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'plan' in body
}
