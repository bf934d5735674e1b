import type { Command } from 'commander'
import type { Machine } from '#protocol/machine/machine.ts'
import { describeBoot, findStuck } from '../text/boot-stages.ts'
import { withPatience } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { followEvents } from '../events.ts'
import { examples } from '../help.ts'
import { withFilters } from '../machine-filter.ts'
import { listMachines, type MachineFilter } from '../machine-names.ts'
import { MACHINE_COLUMNS, progressOf } from '../text/machine-columns.ts'
import { createScreen } from '../text/screen.ts'
import { formatTable } from '../text/table.ts'
import { localTime, paint, paintState, plural, printable, wrap } from '../text/text.ts'

/** Times such as "8 s ago" move on although nothing happens. */
const REDRAW_MILLISECONDS = 1000
const OUTAGE_SECONDS = 600

export function addMachineWatch(machines: Command, signal: AbortSignal): void {
  withFilters(machines.command('watch'))
    .summary('Watch machines live')
    .description(
      'Watch machines live: those that appear, how far each boot came, and what to check where one is stuck. ' +
        'A table on a terminal, a line for each change elsewhere, a JSON object a line with --json.',
    )
    .addHelpText(
      'after',
      examples('stampede machines watch', 'stampede machines watch --tag rack3'),
    )
    .action(action<[], MachineFilter>(signal, watch))
}

async function watch(context: Context, options: MachineFilter): Promise<void> {
  const api = await context.api()
  const { query, state, tag, assigned, locked } = options
  const filter = { query, state, tag, assigned, locked } as MachineFilter
  const known = new Map<string, Machine>()
  const view = createView(context, known)
  const patience = {
    signal: context.signal,
    outageSeconds: OUTAGE_SECONDS,
    onRetry: (err: Error) => view.say(`${err.message}; trying again`),
  }
  try {
    for await (const item of followEvents(api, { signal: context.signal })) {
      if (item.kind === 'lost')
        view.say(`Connection lost (${item.reason}); trying again in ${item.waitSeconds} s`)
      if (item.kind === 'open') {
        const { items } = await withPatience(patience, () => listMachines(api, filter))
        const missed = takeList(known, items)
        // Without an id of an event to go on from, the list tells what happened meanwhile.
        if (item.again) for (const { machine, before } of missed) view.changed(machine, before)
        view.say(
          item.again
            ? 'Connected again; nothing was missed'
            : `Watching ${plural(items.length, 'machine')} at ${api.server}; Ctrl+C ends it`,
        )
      }
      if (item.kind !== 'event' || item.event.kind !== 'machine') continue
      const machine = item.event.data as Machine & { deleted?: boolean }
      const before = known.get(machine.mac)
      const isShown = !machine.deleted && isWanted(machine, filter)
      if (isShown) known.set(machine.mac, machine)
      else if (!known.delete(machine.mac)) continue
      view.changed(machine, before)
    }
  } finally {
    view.end()
  }
}

interface Change {
  machine: Machine & { deleted?: boolean }
  before: Machine | undefined
}

/** Makes `known` what the list says; what that changed of it. */
function takeList(known: Map<string, Machine>, items: readonly Machine[]): Change[] {
  const listed = new Set(items.map(({ mac }) => mac))
  const gone = [...known.values()].filter(({ mac }) => !listed.has(mac))
  const changes: Change[] = [
    ...gone.map((before) => ({ machine: { ...before, deleted: true }, before })),
    ...items
      .map((machine) => ({ machine, before: known.get(machine.mac) }))
      .filter(({ machine, before }) => changeOf(machine, before) !== undefined),
  ]
  for (const { mac } of gone) known.delete(mac)
  for (const machine of items) known.set(machine.mac, machine)
  return changes
}

/** The filters of the list, for what comes as an event. */
function isWanted(
  machine: Machine,
  { query, state, tag, assigned, locked }: MachineFilter,
): boolean {
  const texts = [machine.name, machine.mac, machine.hostname, machine.serial, machine.product]
  return (
    (state === undefined || machine.state === state) &&
    (tag === undefined || machine.tags.includes(tag)) &&
    (assigned === undefined || machine.image === assigned) &&
    (locked === undefined || machine.locked === locked) &&
    (query === undefined || texts.some((text) => text?.toLowerCase().includes(query.toLowerCase())))
  )
}

interface View {
  say(text: string): void
  changed(machine: Machine & { deleted?: boolean }, before: Machine | undefined): void
  end(): void
}

function createView(context: Context, known: ReadonlyMap<string, Machine>): View {
  if (context.isJson) {
    return {
      say: context.say,
      changed: (machine) => context.print(JSON.stringify(machine)),
      end: () => undefined,
    }
  }
  return process.stdout.isTTY ? createTable(known) : createLines(context)
}

function createTable(known: ReadonlyMap<string, Machine>): View {
  const screen = createScreen(process.stdout)
  let note = ''
  const draw = () => {
    const { columns, rows } = screen.size()
    const machines = [...known.values()].toSorted((a, b) => a.name.localeCompare(b.name))
    const stuck = machines.flatMap((machine) => stuckLines(machine, columns))
    // Advice on many must not hide the machines themselves.
    const told = stuck.slice(0, Math.floor(rows / 3))
    const room = Math.max(1, rows - told.length - 4)
    const busiest = machines.toSorted((a, b) => rank(b) - rank(a)).slice(0, room)
    const hidden = machines.length - busiest.length
    screen.draw([
      ...formatTable(busiest, MACHINE_COLUMNS, columns).split('\n'),
      ...(hidden > 0 ? [paint('dim', `and ${plural(hidden, 'more machine')}`)] : []),
      ...told,
      paint('dim', note),
    ])
  }
  const timer = setInterval(draw, REDRAW_MILLISECONDS)
  return {
    say(text) {
      note = text
      draw()
    },
    changed: draw,
    end() {
      clearInterval(timer)
      screen.end()
    },
  }
}

/** Where something goes on, or went wrong, comes before what rests. */
function rank({ state }: Machine): number {
  return ['deployed', 'ready', 'discovered', 'queued', 'booting', 'running', 'failed'].indexOf(
    state,
  )
}

function stuckLines({ name, boot, run, state }: Machine, columns: number): string[] {
  const isAwaited = run ? run.state !== 'running' : state === 'discovered'
  const stuck = isAwaited ? findStuck(boot) : undefined
  if (stuck === undefined) return []
  return wrap(`${printable(name)}: ${stuck}`, columns).map((line) => paint('yellow', line))
}

function createLines({ print, say }: Context): View {
  return {
    say,
    changed(machine, before) {
      const what = changeOf(machine, before)
      if (what)
        print(
          `${localTime(new Date().toISOString())}  ${machine.mac}  ${printable(machine.name)}  ${what}`,
        )
    },
    end: () => undefined,
  }
}

/** Only what a person waits for: heartbeats change `lastSeenAt` all the time. */
function changeOf(
  machine: Machine & { deleted?: boolean },
  before: Machine | undefined,
): string | undefined {
  if (machine.deleted) return 'forgotten'
  if (!before) return `appeared${machine.boot ? `: ${describeBoot(machine.boot)}` : ''}`
  if (machine.state !== before.state)
    return [paintState(machine.state), progressOf(machine)].filter(Boolean).join(': ')
  if (machine.boot?.stages.length !== before.boot?.stages.length) return describeBoot(machine.boot)
  if (machine.image !== before.image) return `image ${machine.image ?? 'none'}`
  if (machine.locked !== before.locked) return machine.locked ? 'locked' : 'unlocked'
  return undefined
}
