import { queryOptions } from '@tanstack/react-query'
import type { Plan, PlanRequest } from '#protocol/run/plan.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** What the plan page asks of the server. */

export function createPlan(request: PlanRequest): Promise<Plan> {
  return bodyOf(client.POST('/api/plans', { body: request }))
}

export function planQuery(id: string) {
  return queryOptions({
    queryKey: keys.plan(id),
    queryFn: (): Promise<Plan> =>
      bodyOf(client.GET('/api/plans/{id}', { params: { path: { id } } })),
  })
}
