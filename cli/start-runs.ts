import { randomUUID } from 'node:crypto'
import type { PlannedRunRequest } from '#protocol/run/plan.ts'
import type { Run, RunRequest } from '#protocol/run/run.ts'
import { withPatience, type ApiClient } from './api-client.ts'
import type { Context } from './context.ts'

/** A server that restarts is waited for so long. */
const START_OUTAGE_SECONDS = 30

export interface StartedRuns {
  items: Run[]
  refused: { mac: string; error: { code: string; message: string } }[]
  next: null
}

/** A plan of one machine is answered with its run alone. Sent again after a cut it starts nothing twice. */
export function startRuns(context: Context, api: ApiClient, json: RunRequest): Promise<Run>
export function startRuns(
  context: Context,
  api: ApiClient,
  json: PlannedRunRequest,
): Promise<Run | StartedRuns>
export async function startRuns(
  { signal, say }: Context,
  api: ApiClient,
  json: RunRequest | PlannedRunRequest,
): Promise<Run | StartedRuns> {
  const headers = { 'idempotency-key': randomUUID() }
  const patience = {
    signal,
    outageSeconds: START_OUTAGE_SECONDS,
    onRetry: (err: Error) => say(`${err.message}; trying again`),
  }
  return await withPatience(patience, () =>
    api.call<Run | StartedRuns>('POST', '/api/runs', { json, headers }),
  )
}

/** What is waited for now. */
export function startedText({ id, mac }: Run): string {
  return `Run ${id} waits for the next boot of ${mac}`
}
