import type { Command, Option } from 'commander'
import {
  PlanSchema,
  type Plan,
  type PlannedRunRequest,
  type PlanRequest,
} from '#protocol/run/plan.ts'
import { Value } from 'typebox/value'
import type { ApiClient } from '../api-client.ts'
import { confirmTyped } from '../confirm.ts'
import { action, type Context } from '../context.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { selectMacs, type MachineFilter } from '../machine-names.ts'
import { describePlan } from '../text/plan-text.ts'
import { canAsk } from '../prompt.ts'
import { watchRuns } from '../run-watch.ts'
import { startedText, startRuns, type StartedRuns } from '../start-runs.ts'
import { plural, printable } from '../text/text.ts'
import {
  diskHints,
  networkSettings,
  withDiskOptions,
  withNetworkOptions,
  type DiskOptions,
  type NetworkOptions,
} from './machine-changes.ts'
import { withFilters } from '../machine-filter.ts'

interface PlanOptions extends MachineFilter, DiskOptions, NetworkOptions {
  all?: boolean
  workflow?: PlanRequest['workflow']
  image?: string
  grow?: boolean
  hostname?: string
  poweroff?: boolean
  zeroUnused?: boolean
  keepIdentity?: boolean
  force?: boolean
  allowShrink?: boolean
  whole?: boolean
}

interface StartOptions extends PlanOptions {
  yes?: boolean
  confirm?: string
  watch?: boolean
  plan?: string
}

const WORKFLOWS = ['deploy', 'capture', 'wipe']

export function addPlans(program: Command, signal: AbortSignal): void {
  withPlanOptions(
    program
      .command('plan [machine...]')
      .description(
        'Tell what a deploy, capture or wipe would do to which disks; nothing is started',
      )
      .option('--workflow <name>', `${WORKFLOWS.join(', ')}`, checkWorkflow, 'deploy'),
  )
    .addHelpText(
      'after',
      examples(
        'stampede plan rack3-node7 --image debian-13',
        'stampede plan --tag rack3 --image debian-13 --json > plan.json',
        'stampede plan rack3-node7 --workflow wipe',
      ),
    )
    .action(
      action<[string[]], PlanOptions>(signal, async (context, names, options) => {
        const plan = await makePlan(await context.api(), names, options)
        context.show(plan, describePlan)
        if (plan.items.every(({ problems }) => problems.length > 0))
          throw new CliError(EXIT.refused, 'No run can be started from this plan')
      }),
    )
  addStart(
    program,
    signal,
    'deploy',
    'Write an image to the disk of machines, at their next boot',
    [
      'stampede deploy rack3-node7 --image debian-13',
      'stampede deploy --tag rack3 --image debian-13 --yes --no-watch',
      'stampede deploy --plan 0197… --confirm rack3-node7',
    ],
  )
  addStart(program, signal, 'capture', 'Save the disk of a machine as an image', [
    'stampede capture golden --image debian-13',
  ])
  addStart(program, signal, 'wipe', 'Erase the disk of machines', ['stampede wipe rack3-node7'])
}

function checkWorkflow(value: string): string {
  if (WORKFLOWS.includes(value)) return value
  throw new UsageError(`--workflow is "${value}" but must be one of ${WORKFLOWS.join(', ')}`)
}

/** Of one workflow, or of all that a plan can be of. */
function withPlanOptions(command: Command, workflow?: PlanRequest['workflow']): Command {
  const isOf = (...workflows: PlanRequest['workflow'][]) =>
    workflow === undefined || workflows.includes(workflow)
  withDiskOptions(withFilters(command)).option('--all', 'all machines')
  if (isOf('deploy', 'capture'))
    command.option(
      '-i, --image <name>',
      'the image; a deploy takes the assigned one where none is given',
    )
  if (isOf('deploy')) withDeployOptions(command)
  if (isOf('capture'))
    command.option('--whole', 'capture all of the disk, with the free space of its file systems')
  return command.option('--poweroff', 'power off at the end, instead of a reboot')
}

function withDeployOptions(command: Command): Command {
  return withNetworkOptions(command)
    .option('--no-grow', 'do not grow the root file system to the size of the disk')
    .option('--hostname <name>', 'what the deployed system is called')
    .option('--zero-unused', 'write zeros where the image has free space')
    .option('--keep-identity', 'keep the machine ID and SSH host keys of the image')
    .option('--force', 'also where the image seems unable to boot')
    .option(
      '--allow-shrink',
      'also to a smaller disk, if the partitions of the image end before it',
    )
}

function addStart(
  program: Command,
  signal: AbortSignal,
  workflow: PlanRequest['workflow'],
  description: string,
  lines: string[],
): void {
  const command = program.command(`${workflow} [machine...]`).description(description)
  const planning = [...withPlanOptions(command, workflow).options]
  command
    .option('--plan <id>', 'start a plan that was made before')
    .option('-y, --yes', 'do not ask')
    .option('--confirm <text>', 'what else would be typed: the hostname, or how many machines')
    .option('--no-watch', 'do not wait for the end')
    .addHelpText('after', examples(...lines))
    .action(
      action<[string[]], StartOptions>(signal, (context, names, options) =>
        start(context, names, { ...options, workflow }, planning),
      ),
    )
}

function planRequest(macs: string[], options: PlanOptions): PlanRequest {
  const disk = diskHints(options)
  const network = networkSettings(options)
  if (network && macs.length > 1)
    throw new UsageError('--network is for one machine; others would get the same address')
  return {
    workflow: options.workflow ?? 'deploy',
    macs,
    ...(options.image !== undefined && { image: options.image }),
    ...(disk && { disk }),
    ...(network && { network }),
    ...(options.grow === false && { grow: false }),
    ...(options.hostname !== undefined && { hostname: options.hostname }),
    ...(options.poweroff && { after: 'poweroff' as const }),
    ...(options.zeroUnused && { zeroUnused: true }),
    ...(options.keepIdentity && { identity: 'keep' as const }),
    ...(options.force && { force: true }),
    ...(options.allowShrink && { allowShrink: true }),
    ...(options.whole && { wholeDisk: true }),
  }
}

async function makePlan(api: ApiClient, names: string[], options: PlanOptions): Promise<Plan> {
  const { query, state, tag, assigned, locked, all } = options
  const filter = { query, state, tag, assigned, locked, all } as MachineFilter
  const macs = await selectMacs(api, names, filter)
  return checkPlan(await api.call('POST', '/api/plans', { json: planRequest(macs, options) }))
}

/** A person is about to trust it: what is not understood must not be shown in part. */
function checkPlan(plan: unknown): Plan {
  if (Value.Check(PlanSchema, plan)) return plan
  throw new CliError(
    EXIT.failed,
    'The plan of the server is not understood; this command and the server are of different versions',
  )
}

async function start(
  context: Context,
  names: string[],
  options: StartOptions,
  planning: readonly Option[],
): Promise<void> {
  const api = await context.api()
  if (options.plan !== undefined) refusePlanned(names, options, planning)
  const isWriting = options.workflow !== 'capture'
  // Before any work: a script that forgot to say so shall not wait for a plan first.
  if (isWriting && !options.yes && options.confirm === undefined && !canAsk())
    throw new UsageError(
      'This is no terminal to ask at; add --yes, or --confirm with the hostname or the number of machines',
    )
  const plan =
    options.plan === undefined
      ? await makePlan(api, names, options)
      : checkPlan(await api.call('GET', `/api/plans/${encodeURIComponent(options.plan)}`))
  if (plan.workflow !== options.workflow)
    throw new UsageError(`Plan ${plan.id} is of a ${plan.workflow}, not of a ${options.workflow}`)
  context.say(describePlan(plan))
  refuseHopeless(plan)
  const typed = await confirmPlan(context, plan, options)
  const runs = await startPlan(context, api, plan, typed)
  if (options.watch === false) return context.show(runs, tellStarted)
  await watchRuns(context, api, runs.items, plan.items)
}

/** A plan that was made is not changed by what would go into another one. */
function refusePlanned(names: string[], options: StartOptions, planning: readonly Option[]): void {
  if (names.length > 0)
    throw new UsageError('A plan names its machines; give either machines or --plan')
  const given = options as Readonly<Record<string, unknown>>
  const stray = planning.find((option) => {
    const value = given[option.attributeName()]
    // Commander sets those that begin with "no-" where they are absent.
    return option.negate ? value === false : value !== undefined
  })
  if (stray)
    throw new UsageError(
      `A plan says what is done, and is not changed by ${stray.long}; plan anew without --plan`,
    )
}

function refuseHopeless({ items }: Plan): void {
  const problems = items.flatMap(({ problems }) => problems)
  if (items.every((item) => item.problems.length > 0))
    throw new CliError(EXIT.refused, problems[0]?.message ?? 'The plan has no machine')
}

/** What was typed, if anything was: the server compares it once more. */
async function confirmPlan(context: Context, plan: Plan, { yes, confirm }: StartOptions) {
  if (confirm !== undefined) {
    if (confirm === plan.confirmation) return confirm
    throw new CliError(
      EXIT.refused,
      `--confirm is "${confirm}" but this plan wants "${plan.confirmation}"; nothing was started`,
    )
  }
  const isDoubtful = plan.items.some(({ warnings }) => warnings.length > 0)
  if (yes || (!plan.destructive && !isDoubtful)) return undefined
  const question = plan.destructive ? 'This cannot be undone.' : 'Read the warnings.'
  await confirmTyped(context, question, plan.confirmation)
  return plan.confirmation
}

async function startPlan(
  context: Context,
  api: ApiClient,
  plan: Plan,
  confirmation: string | undefined,
): Promise<StartedRuns> {
  const json: PlannedRunRequest = {
    plan: plan.id,
    ...(confirmation !== undefined && { confirmation }),
  }
  const answer = await startRuns(context, api, json)
  const runs: StartedRuns =
    'items' in answer ? answer : { items: [answer], refused: [], next: null }
  for (const { mac, error } of runs.refused)
    context.say(`${mac} was refused: ${printable(error.message)}`)
  if (runs.items.length === 0) throw new CliError(EXIT.refused, 'No run was started')
  return runs
}

function tellStarted({ items }: StartedRuns): string {
  const [only, ...others] = items
  return only && others.length === 0
    ? startedText(only)
    : `${plural(items.length, 'run')} wait for the next boot of their machines; "stampede runs ls" lists them`
}
