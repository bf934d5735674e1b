import type { Run, RunDetail } from '#protocol/run/run.ts'
import { withPatience, type ApiClient } from './api-client.ts'
import type { Context } from './context.ts'
import { CliError, EXIT } from './errors.ts'
import { followEvents } from './events.ts'
import { isOver, verdictOf } from './text/run-text.ts'
import { createRunView, type RunView } from './run-view.ts'
import { plural, printable } from './text/text.ts'

/** How many runs are read at once after the connection was lost. */
const READS_AT_ONCE = 8
const OUTAGE_SECONDS = 600

/** What the stream tells between two whole runs. */
interface Progress {
  run: string
  step: string
  state: string
  bytesDone: number
  bytesTotal: number
  bytesPerSecond: number
  lastReportAt: string | null
  timesOutAt: string | null
}

/** Until all are over. Throws CliError if one did not succeed. The runs go on if this is stopped. */
export async function watchRuns(
  context: Context,
  api: ApiClient,
  runs: readonly Run[],
  names: readonly { mac: string; name: string }[] = [],
): Promise<void> {
  const watched = new Map(runs.map((run) => [run.id, run]))
  const nameOf = new Map(names.map(({ mac, name }) => [mac, printable(name)]))
  const view = createRunView(context, (run) => nameOf.get(run.mac) ?? run.mac)
  for (const run of runs) view.update(run)
  try {
    await follow(context, api, watched, view)
  } catch (err) {
    if (context.signal.aborted)
      view.say(`The ${watched.size === 1 ? 'run goes' : 'runs go'} on; ${howToReturn(watched)}`)
    throw err
  } finally {
    view.end()
  }
  if (context.isJson) context.show(resultOf([...watched.values()]), String)
  failForLost([...watched.values()])
}

function howToReturn(watched: ReadonlyMap<string, Run>): string {
  const [first] = watched.keys()
  return watched.size === 1
    ? `"stampede runs watch ${first}" shows it`
    : '"stampede runs ls" lists them'
}

function resultOf(runs: Run[]): Run | { items: Run[]; next: null } {
  return runs.length === 1 ? runs[0]! : { items: runs, next: null }
}

async function follow(
  context: Context,
  api: ApiClient,
  watched: Map<string, Run>,
  view: RunView,
): Promise<void> {
  const update = (run: Run) => {
    watched.set(run.id, run)
    view.update(run)
  }
  const patience = {
    signal: context.signal,
    outageSeconds: OUTAGE_SECONDS,
    onRetry: (err: Error) => view.say(`${err.message}; trying again`),
  }
  const allOver = () => [...watched.values()].every(isOver)
  for await (const item of followEvents(api, { signal: context.signal, patient: true })) {
    switch (item.kind) {
      case 'lost':
        view.say(`Connection lost (${item.reason}); trying again in ${item.waitSeconds} s`)
        break
      case 'open':
        // What happened before the stream began, or while it was cut.
        for (const run of await withPatience(patience, () => readRuns(api, [...watched.values()])))
          update(run)
        if (item.again) view.say('Connected again; nothing was missed')
        break
      case 'event': {
        const { kind, data } = item.event
        if (kind === 'run' && watched.has((data as Run).id)) update(data as Run)
        if (kind === 'progress') {
          const known = watched.get((data as Progress).run)
          if (known) update(withProgress(known, data as Progress))
        }
      }
    }
    if (allOver()) return
  }
}

async function readRuns(api: ApiClient, runs: readonly Run[]): Promise<Run[]> {
  const open = runs.filter((run) => !isOver(run))
  const read: Run[] = []
  for (let start = 0; start < open.length; start += READS_AT_ONCE) {
    const some = open.slice(start, start + READS_AT_ONCE)
    const found = await Promise.all(
      some.map(({ id }) => api.call<RunDetail>('GET', `/api/runs/${id}`)),
    )
    read.push(...found.map(({ log: _log, ...run }) => run))
  }
  return read
}

function withProgress(run: Run, progress: Progress): Run {
  const { step, bytesDone, bytesTotal, bytesPerSecond, lastReportAt, timesOutAt } = progress
  const steps = run.steps.map((each) =>
    each.name === step && each.state !== 'succeeded'
      ? { ...each, state: 'running' as const, bytesDone, bytesTotal, bytesPerSecond }
      : each,
  )
  return { ...run, steps, lastReportAt, timesOutAt }
}

function failForLost(runs: readonly Run[]): void {
  const lost = runs.filter(({ state }) => state !== 'succeeded')
  if (lost.length === 0) return
  const [only] = lost
  throw new CliError(
    EXIT.failed,
    runs.length === 1 && only
      ? `The ${only.workflow} of ${only.mac} ${verdictOf(only)}`
      : `${lost.length} of ${plural(runs.length, 'run')} did not succeed`,
  )
}
