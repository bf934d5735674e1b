import type { Command } from 'commander'
import { MACHINE_SORT_KEYS, type Machine } from '#protocol/machine/machine.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { withFilters } from '../machine-filter.ts'
import { findMac, listMachines, type MachineFilter } from '../machine-names.ts'
import { describeMachine } from '../text/machine-text.ts'
import { MACHINE_COLUMNS } from '../text/machine-columns.ts'
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
