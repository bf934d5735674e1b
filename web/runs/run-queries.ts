import { queryOptions } from '@tanstack/react-query'
import type { PlannedRunRequest, PlannedRuns } from '#protocol/run/plan.ts'
import type { LogLine, Run, RunDetail, RunRequest } from '#protocol/run/run.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'
import type { RunsFilter } from './runs-filter.ts'

/** What the pages of runs ask of the server. Live events keep the answers fresh. */

const PAGE_RUNS = 50
/** A fleet is looked at whole. */
const FLEET_PAGE_RUNS = 200
const MOST_FLEET_RUNS = 1000
const LOG_PAGE_LINES = 1000

export function runQuery(id: string) {
  return queryOptions({
    queryKey: keys.run(id),
    queryFn: (): Promise<RunDetail> =>
      bodyOf(client.GET('/api/runs/{id}', { params: { path: { id } } })),
  })
}

export type RunPage = { items: Run[]; next: string | null }

export function fetchRuns(filter: RunsFilter, limit: number, after?: string): Promise<RunPage> {
  const query = { ...filter, limit, ...(after !== undefined && { after }) }
  return bodyOf(client.GET('/api/runs', { params: { query } }))
}

/** One page of a list; the pages before it are in the history of the browser. */
export function runsQuery(filter: RunsFilter, after?: string) {
  return queryOptions({
    queryKey: keys.runsWhere({ ...filter, after }),
    queryFn: () => fetchRuns(filter, PAGE_RUNS, after),
  })
}

const MACHINE_RUNS = 10

/** The runs of one machine, few at a time: its page has more to show. */
export function machineRunsQuery(mac: string, after?: string) {
  return queryOptions({
    queryKey: keys.runsWhere({ mac, after, limit: MACHINE_RUNS }),
    queryFn: () => fetchRuns({ mac }, MACHINE_RUNS, after),
  })
}

/** All runs of a plan, however many pages they fill. */
export function planRunsQuery(plan: string) {
  return queryOptions({
    queryKey: keys.runsWhere({ plan, whole: true }),
    queryFn: () => fetchAllRuns({ plan }),
  })
}

async function fetchAllRuns(filter: RunsFilter): Promise<RunPage> {
  const items: Run[] = []
  let after: string | undefined
  while (items.length < MOST_FLEET_RUNS) {
    const page = await fetchRuns(filter, FLEET_PAGE_RUNS, after)
    items.push(...page.items)
    if (page.next === null) break
    after = page.next
  }
  return { items, next: null }
}

export function activeRunsQuery() {
  return queryOptions({
    queryKey: keys.runsWhere({ active: true, whole: true }),
    queryFn: () => fetchAllRuns({ active: true }),
  })
}

export function cancelRun(id: string): Promise<Run> {
  return bodyOf(client.POST('/api/runs/{id}/cancel', { params: { path: { id } } }))
}

export function startPlan(request: PlannedRunRequest): Promise<Run | PlannedRuns> {
  return bodyOf(client.POST('/api/runs', { body: request })) as Promise<Run | PlannedRuns>
}

/** A workflow that needs no plan, since it writes nothing. `image`: else what should be on the disk. */
export function startLook(
  mac: string,
  workflow: 'inventory' | 'verify',
  image?: string,
): Promise<Run> {
  const body: RunRequest = { mac, workflow, ...(image !== undefined && { image }) }
  return bodyOf(client.POST('/api/runs', { body })) as Promise<Run>
}

export type LogPage = { items: LogLine[]; next: string | null }

/** Lines of one attempt's log, from after `after` on. */
export function fetchLog(
  run: Pick<Run, 'id'>,
  attempt: number,
  after: string | undefined,
): Promise<LogPage> {
  const query = { attempt, limit: LOG_PAGE_LINES, ...(after !== undefined && { after }) }
  return bodyOf(client.GET('/api/runs/{id}/log', { params: { path: { id: run.id }, query } }))
}
