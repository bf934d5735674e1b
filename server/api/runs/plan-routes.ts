import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { PlanRequestSchema, PlanSchema } from '#protocol/run/plan.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findPlan } from '#server/db/runs/plans.ts'
import { makePlan } from '#server/runs/make-plan.ts'
import { NotFoundError } from '../http/errors.ts'
import { checkNetwork } from '../machines/machine-routes.ts'
import { RunParams } from './run-routes.ts'
import { starterOf } from './run-start-routes.ts'

const tags = ['plans']

/** What runs would do, said before anything does it. */
export function planRoutes({
  database,
  now,
}: {
  database: OpenedDatabase
  now: () => Date
}): FastifyPluginAsyncTypebox {
  const { db } = database
  return async (app) => {
    app.post(
      '/plans',
      {
        config: { access: 'operator', scope: 'runs', audit: 'plan.create' },
        schema: {
          tags,
          summary: 'Say what a run would do to each machine, and start nothing',
          body: PlanRequestSchema,
          response: { 201: PlanSchema, 422: ErrorSchema },
        },
      },
      async ({ body, principal }, reply) => {
        checkNetwork(body.network)
        const plan = await makePlan(db, body, starterOf(principal).name, now())
        return reply.code(201).header('location', `/api/plans/${plan.id}`).send(plan)
      },
    )

    app.get(
      '/plans/:id',
      {
        schema: {
          tags,
          summary: 'Read a plan as it was made',
          params: RunParams,
          response: { 200: PlanSchema, 404: ErrorSchema },
        },
      },
      async ({ params }) => {
        const plan = await findPlan(db, params.id)
        if (!plan) throw new NotFoundError(`There is no plan ${params.id}`)
        return plan
      },
    )
  }
}
