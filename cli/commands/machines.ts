import type { Command } from 'commander'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { MACHINE_SORT_KEYS, MACHINE_STATES, type Machine } from '#protocol/machine/machine.ts'
import { describeBoot } from '../text/boot-stages.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { findMac, listMachines, type MachineFilter } from '../machine-names.ts'
import { describeMachine } from '../text/machine-text.ts'
import type { Column } from '../text/table.ts'
import { ago, paintState, percent } from '../text/text.ts'
import { addMachineChanges } from './machine-changes.ts'
import { addMachineWatch } from './machine-watch.ts'

export function addMachines(program: Command, signal: AbortSignal): void {
  const machines = program
    .command('machines')
    .alias('machine')
    .description('List, read and change machines')
  withFilters(machines.command('ls').alias('list'))
    .description('List machines')
    .option('--sort <key>', `${MACHINE_SORT_KEYS.join(', ')}; with "-" before it, descending`)
    .addHelpText(
      'after',
      examples(
        'stampede machines ls',
        'stampede machines ls --state failed --sort -lastSeenAt',
        'stampede machines ls --tag rack3 --json',
      ),
    )
    .action(action<[], MachineFilter>(signal, list))
  machines
    .command('show <machine>')
    .description('All that is known of a machine: inventory, disks, boot, assignment')
    .addHelpText('after', examples('stampede machines show rack3-node7'))
    .action(action<[string]>(signal, show))
  machines
    .command('script <machine>')
    .description('The iPXE script that it would get now, without its token')
    .addHelpText('after', examples('stampede machines script 52:54:00:12:34:56'))
    .action(action<[string]>(signal, script))
  addMachineChanges(machines, signal)
  addMachineWatch(machines, signal)
}

/** What chooses machines in lists, plans and runs. */
export function withFilters(command: Command): Command {
  return command
    .option('-q, --query <text>', 'whose name, MAC, serial or model holds this text')
    .option('--state <state>', MACHINE_STATES.join(', '), checkState)
    .option('--tag <tag>', 'that have this tag')
    .option('--assigned <image>', 'that have this image assigned')
    .option('--locked', 'that are locked')
}

function checkState(value: string): string {
  if ((MACHINE_STATES as readonly string[]).includes(value)) return value
  throw new UsageError(`--state is "${value}" but must be one of ${MACHINE_STATES.join(', ')}`)
}

export const MACHINE_COLUMNS: Column<Machine>[] = [
  { head: 'Name', cell: ({ name }) => name, key: true },
  { head: 'MAC', cell: ({ mac }) => mac, key: true },
  { head: 'State', cell: ({ state }) => state, paint: paintState, min: 10 },
  { head: 'Image', cell: ({ image }) => image, min: 12 },
  { head: 'Progress', cell: progressOf, min: 24 },
  { head: 'Model', cell: ({ product }) => product },
  { head: 'Serial', cell: ({ serial }) => serial },
  { head: 'Tags', cell: ({ tags, locked }) => [...(locked ? ['LOCKED'] : []), ...tags].join(',') },
  { head: 'Seen', cell: ({ lastSeenAt }) => ago(lastSeenAt) },
]

/** Of the run, else of the boot. */
export function progressOf({ run, boot, state }: Machine): string | undefined {
  if (run?.state === 'running') {
    const share = run.bytesTotal > 0 ? ` ${percent(run.bytesDone, run.bytesTotal)} %` : ''
    const rate = run.bytesPerSecond > 0 ? ` ${formatBytes(Math.round(run.bytesPerSecond))}/s` : ''
    return `${run.step ?? run.workflow}${share}${rate}`
  }
  if (run && run.state === 'queued') return `${run.workflow} at next boot`
  return run || state === 'discovered' ? describeBoot(boot) : undefined
}

async function list(
  context: Context,
  { query, state, tag, assigned, locked, sort }: MachineFilter,
) {
  if (
    sort !== undefined &&
    !(MACHINE_SORT_KEYS as readonly string[]).includes(sort.replace(/^-/, ''))
  )
    throw new UsageError(`--sort is "${sort}" but must be one of ${MACHINE_SORT_KEYS.join(', ')}`)
  const filter = { query, state, tag, assigned, locked, sort }
  const found = await listMachines(await context.api(), filter as MachineFilter)
  context.showList(found, MACHINE_COLUMNS, 'No machines; "stampede machines watch" shows new ones')
}

async function show(context: Context, name: string): Promise<void> {
  const api = await context.api()
  const mac = await findMac(api, name)
  context.show(await api.call<Machine>('GET', `/api/machines/${mac}`), describeMachine)
}

async function script(context: Context, name: string): Promise<void> {
  const api = await context.api()
  const mac = await findMac(api, name)
  context.print((await api.text(`/api/machines/${mac}/script`)).trimEnd())
}
