import type { Machine } from '#protocol/machine/machine.ts'
import type { Run, Step } from '#protocol/run/run.ts'
import type { LiveEvent, Progress } from './events.ts'

/** How events change what a page already holds. Unchanged items stay the same objects. */

export function machinesAfter(machines: Machine[], events: LiveEvent[]): Machine[] {
  const changed = new Map<string, Machine | null>()
  const progress = new Map<string, Progress>()
  for (const event of events) {
    if (event.kind === 'machine')
      changed.set(event.data.mac, event.data.deleted ? null : withoutInventory(event.data))
    if (event.kind === 'progress') progress.set(event.data.mac, event.data)
  }
  if (changed.size + progress.size === 0) return machines
  const known = machines.flatMap((machine) => {
    const newer = changed.get(machine.mac)
    changed.delete(machine.mac)
    if (newer === null) return []
    return [machineWithProgress(newer ?? machine, progress.get(machine.mac))]
  })
  const added = [...changed.values()].filter((machine) => machine !== null)
  return [...known, ...added]
}

/** The list shows hundreds of machines: their inventories would only take memory. */
function withoutInventory({ inventory: _inventory, ...machine }: Machine): Machine {
  return machine
}

export function machineWithProgress(machine: Machine, progress: Progress | undefined): Machine {
  if (!progress || machine.run?.id !== progress.run) return machine
  const { run: _id, mac: _mac, state: _state, ...news } = progress
  return { ...machine, run: { ...machine.run, ...news } }
}

/**
 * Whether other machines or runs use other images than before: one is assigned, or a run of one begins or
 * ends. Without a list to compare with, any machine may.
 */
export function mayChangeImageUse(machines: Machine[] | undefined, events: LiveEvent[]): boolean {
  const news = events.filter((event) => event.kind === 'machine').map(({ data }) => data)
  if (!machines || news.length === 0) return news.length > 0
  const known = new Map(machines.map((machine) => [machine.mac, machine]))
  return news.some((machine) => {
    if (machine.deleted) return machine.image !== undefined
    const before = known.get(machine.mac)
    const isSame = machine.image === before?.image && machine.run?.id === before?.run?.id
    return !isSame || (machine.image !== undefined && machine.name !== before?.name)
  })
}

/** A run as the newest of its events tells it. Fields that only the detail has (its log) stay. */
export function runAfter<Known extends Run>(run: Known, events: LiveEvent[]): Known {
  let newest = run
  for (const event of events) {
    if (event.kind === 'run' && event.data.id === run.id) newest = { ...newest, ...event.data }
    if (event.kind === 'progress' && event.data.run === run.id)
      newest = {
        ...newest,
        steps: stepsAfter(newest.steps, event.data),
        lastReportAt: event.data.lastReportAt,
        timesOutAt: event.data.timesOutAt,
      }
  }
  return newest
}

function stepsAfter(steps: Step[], { step: name, bytesDone, bytesTotal, ...rest }: Progress) {
  const { bytesPerSecond } = rest
  return steps.map((step) =>
    step.name === name && step.state !== 'succeeded'
      ? { ...step, bytesDone, bytesTotal, bytesPerSecond }
      : step,
  )
}

/** Things in a list, found by what identifies them; those that it does not have are left out. */
export function itemsAfter<Item>(
  items: Item[],
  events: { data: Item & { deleted?: boolean } }[],
  idOf: (item: Item) => string,
): Item[] {
  if (events.length === 0) return items
  const newest = new Map(events.map(({ data }) => [idOf(data), data]))
  return items.flatMap((item) => {
    const newer = newest.get(idOf(item))
    if (!newer) return [item]
    return newer.deleted ? [] : [newer]
  })
}
