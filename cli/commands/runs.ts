import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import {
  ACTIVE_RUN_STATES,
  FINAL_RUN_STATES,
  WORKFLOWS,
  type LogLine,
  type Run,
  type RunDetail,
} from '#protocol/run/run.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { ApiError, CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { findMac, listMachines } from '../machine-names.ts'
import { currentStep, receiptSummary } from '../text/run-text.ts'
import { watchRuns } from '../run-watch.ts'
import { formatFacts, formatTable, type Column } from '../text/table.ts'
import {
  ago,
  duration,
  localTime,
  paint,
  paintState,
  percent,
  plural,
  printable,
  printableLines,
} from '../text/text.ts'
import { addReceipts } from './receipts.ts'

interface ListOptions {
  machine?: string
  state?: string
  workflow?: string
  image?: string
  plan?: string
  active?: boolean
  limit?: string
}

const STATES: readonly string[] = [...ACTIVE_RUN_STATES, ...FINAL_RUN_STATES]
const DEFAULT_RUNS = '50'
const MAX_NAMED_ONE_BY_ONE = 8

export function addRuns(program: Command, signal: AbortSignal): void {
  const runs = program.command('runs').alias('run').description('List, watch and cancel runs')
  runs
    .command('ls')
    .alias('list')
    .description('List runs, newest first')
    .option('-m, --machine <machine>', 'of this machine')
    .option('--state <state>', STATES.join(', '))
    .option('--workflow <name>', WORKFLOWS.join(', '))
    .option('--image <name>', 'that deploy or capture this image')
    .option('--plan <id>', 'that were started from this plan')
    .option('--active', 'that are not over')
    .option('-n, --limit <number>', 'at most so many; 0: all', DEFAULT_RUNS)
    .addHelpText(
      'after',
      examples('stampede runs ls --active', 'stampede runs ls -m rack3-node7 --json'),
    )
    .action(action<[], ListOptions>(signal, list))
  runs
    .command('show <run>')
    .description('A run with its steps and the end of its log')
    .addHelpText('after', examples('stampede runs show 0197…'))
    .action(action<[string]>(signal, show))
  runs
    .command('watch [run...]')
    .description('Follow runs to their end; those that are active if none is named')
    .addHelpText('after', examples('stampede runs watch', 'stampede runs watch 0197…'))
    .action(action<[string[]]>(signal, watch))
  runs
    .command('cancel <run...>')
    .description('Cancel runs: at once if queued, else when the agent reports next')
    .addHelpText('after', examples('stampede runs cancel 0197…'))
    .action(action<[string[]]>(signal, cancel))
  runs
    .command('log <run>')
    .description('All that the agent of a run said')
    .option('--attempt <number>', 'of an earlier attempt')
    .addHelpText('after', examples('stampede runs log 0197… | less'))
    .action(action<[string], { attempt?: string }>(signal, log))
  addReceipts(runs, signal)
}

function columnsOf(machines: readonly Machine[]): Column<Run>[] {
  const names = new Map(machines.map(({ mac, name }) => [mac, name]))
  return [
    { head: 'Run', cell: ({ id }) => id, key: true },
    { head: 'Machine', cell: ({ mac }) => names.get(mac) ?? mac, key: true },
    { head: 'Workflow', cell: ({ workflow }) => workflow },
    { head: 'Image', cell: ({ image }) => image ?? undefined },
    { head: 'State', cell: ({ state }) => state, paint: paintState },
    { head: 'Progress', cell: progressText },
    { head: 'Created', cell: ({ createdAt }) => ago(createdAt) },
    { head: 'Took', cell: tookText },
  ]
}

function progressText(run: Run): string | undefined {
  const step = currentStep(run)
  if (!step) return run.error ?? undefined
  const share = step.bytesTotal > 0 ? ` ${percent(step.bytesDone, step.bytesTotal)} %` : ''
  return `${step.name}${share}`
}

function tookText({ startedAt, finishedAt }: Run): string | undefined {
  if (startedAt === null || finishedAt === null) return undefined
  return duration((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)
}

function oneOf(name: string, value: string | undefined, choices: readonly string[]) {
  if (value !== undefined && !choices.includes(value))
    throw new UsageError(`${name} is "${value}" but must be one of ${choices.join(', ')}`)
  return value
}

async function list(context: Context, options: ListOptions): Promise<void> {
  const api = await context.api()
  const limit = Number(options.limit)
  if (!Number.isInteger(limit) || limit < 0)
    throw new UsageError(`--limit is "${options.limit}" but must be a whole number`)
  const query = {
    mac: options.machine === undefined ? undefined : await findMac(api, options.machine),
    state: oneOf('--state', options.state, STATES),
    workflow: oneOf('--workflow', options.workflow, WORKFLOWS),
    image: options.image,
    plan: options.plan,
    active: options.active,
  }
  const runs = await api.list<Run>('/api/runs', query, limit || undefined)
  const machines = context.isJson ? [] : await machinesOf(api, runs.items)
  context.showList(runs, columnsOf(machines), 'No runs')
}

function readRun(api: ApiClient, id: string): Promise<RunDetail> {
  return api.call<RunDetail>('GET', `/api/runs/${encodeURIComponent(id)}`)
}

async function show(context: Context, id: string): Promise<void> {
  const api = await context.api()
  const run = await readRun(api, id)
  const [machine] = context.isJson ? [] : await machinesOf(api, [run])
  context.show(run, () => describeRun(run, machine))
}

function describeRun(run: RunDetail, machine: Machine | undefined): string {
  const facts = formatFacts([
    ['Run', run.id],
    [
      'Machine',
      machine && machine.name !== run.mac ? `${printable(machine.name)} (${run.mac})` : run.mac,
    ],
    ['Workflow', `${run.workflow}${run.image ? ` of image "${run.image}"` : ''}`],
    ['State', paintState(run.state)],
    ['Error', run.error === null ? undefined : paint('red', printableLines(run.error))],
    ['Attempts', String(run.attempts)],
    ['Plan', run.plan ?? undefined],
    ['Created', localTime(run.createdAt)],
    ['Started', run.startedAt ? localTime(run.startedAt) : undefined],
    [
      'Finished',
      run.finishedAt ? `${localTime(run.finishedAt)} (${tookText(run) ?? '–'})` : undefined,
    ],
    ['Receipt', receiptSummary(run) || undefined],
  ])
  const steps = formatTable(
    run.steps,
    [
      { head: 'Step', cell: ({ name }) => name },
      { head: 'State', cell: ({ state }) => state, paint: paintState },
      {
        head: 'Done',
        cell: ({ bytesDone }) => (bytesDone > 0 && formatBytes(bytesDone)) || undefined,
        align: 'right',
      },
      { head: 'Message', cell: ({ error, message }) => error ?? message },
    ],
    process.stdout.isTTY ? process.stdout.columns : undefined,
  )
  const end = run.log.map(({ text }) => printable(text)).join('\n')
  return [facts, steps, end && `${paint('bold', 'End of its log')}\n${end}`]
    .filter(Boolean)
    .join('\n\n')
}

async function watch(context: Context, ids: string[]): Promise<void> {
  const api = await context.api()
  const runs =
    ids.length > 0
      ? await Promise.all(ids.map((id) => readRun(api, id)))
      : (await api.list<Run>('/api/runs', { active: true })).items
  if (runs.length === 0) return context.say('No run is active')
  await watchRuns(context, api, runs, await machinesOf(api, runs))
}

/** Their machines, as far as they are still known. */
async function machinesOf(api: ApiClient, runs: readonly Run[]): Promise<Machine[]> {
  const macs = [...new Set(runs.map(({ mac }) => mac))]
  if (macs.length > MAX_NAMED_ONE_BY_ONE) return (await listMachines(api, {})).items
  const found = await Promise.all(
    macs.map((mac) =>
      api.call<Machine>('GET', `/api/machines/${mac}`).catch((err: unknown) => {
        if (err instanceof ApiError && err.status === 404) return []
        throw err
      }),
    ),
  )
  return found.flat()
}

async function cancel(context: Context, ids: string[]): Promise<void> {
  const api = await context.api()
  const cancelled: Run[] = []
  const failures: unknown[] = []
  for (const id of ids) {
    try {
      cancelled.push(await api.call<Run>('POST', `/api/runs/${encodeURIComponent(id)}/cancel`))
    } catch (err) {
      if (!(err instanceof ApiError) || ids.length === 1) throw err
      context.say(`${id}: ${err.message}`)
      failures.push(err)
    }
  }
  const answer = cancelled.length === 1 ? cancelled[0]! : { items: cancelled, next: null }
  context.show(answer, () => cancelled.map(tellCancelled).join('\n'))
  if (failures.length > 0)
    throw new CliError(EXIT.refused, `${plural(failures.length, 'run')} could not be cancelled`)
}

function tellCancelled({ id, state }: Run): string {
  return state === 'cancelled'
    ? `Run ${id} is cancelled`
    : `Run ${id} will be cancelled when its agent reports next`
}

async function log(context: Context, id: string, { attempt }: { attempt?: string }): Promise<void> {
  const api = await context.api()
  const path = `/api/runs/${encodeURIComponent(id)}/log`
  const lines = await api.list<LogLine>(path, { attempt })
  context.show(lines, ({ items }) =>
    items.map(({ at, text }) => `${paint('dim', localTime(at))}  ${printable(text)}`).join('\n'),
  )
}
