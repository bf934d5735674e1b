import type { Machine, MachineState } from '#protocol/machine/machine.ts'

/** Which machines are shown, in which order: what the address of the page says. */
export interface MachinesView {
  /** Words that must all be found. */
  q: string
  states: MachineState[]
  image: string
  tag: string
  locked: boolean | undefined
  sort: SortKey
  descending: boolean
}

export const SORT_KEYS = [
  'name',
  'mac',
  'serial',
  'product',
  'state',
  'image',
  'lastSeenAt',
] as const
export type SortKey = (typeof SORT_KEYS)[number]

/** In the order of what wants to be looked at first. */
export const STATES_BY_URGENCY: readonly MachineState[] = [
  'failed',
  'running',
  'booting',
  'queued',
  'discovered',
  'ready',
  'deployed',
]

/** An image's name cannot be this, so it can stand for none. */
export const NO_IMAGE = '-'

export function parseMachinesView(query: URLSearchParams): MachinesView {
  const sort = query.get('sort') ?? 'name'
  const locked = query.get('locked')
  return {
    q: query.get('q') ?? '',
    states: STATES_BY_URGENCY.filter((state) => query.getAll('state').includes(state)),
    image: query.get('image') ?? '',
    tag: query.get('tag') ?? '',
    locked: locked === null ? undefined : locked === 'true',
    sort: SORT_KEYS.find((key) => key === sort.replace(/^-/, '')) ?? 'name',
    descending: sort.startsWith('-'),
  }
}

/** Only what differs from the plain list. */
export function machinesSearch(view: MachinesView): URLSearchParams {
  const query = new URLSearchParams()
  if (view.q) query.set('q', view.q)
  for (const state of view.states) query.append('state', state)
  if (view.image) query.set('image', view.image)
  if (view.tag) query.set('tag', view.tag)
  if (view.locked !== undefined) query.set('locked', String(view.locked))
  if (view.sort !== 'name' || view.descending)
    query.set('sort', `${view.descending ? '-' : ''}${view.sort}`)
  return query
}

export function hasFilter({ q, states, image, tag, locked }: MachinesView): boolean {
  return q.trim() !== '' || states.length > 0 || image !== '' || tag !== '' || locked !== undefined
}

export function visibleMachines(machines: readonly Machine[], view: MachinesView): Machine[] {
  const words = view.q.toLowerCase().split(/\s+/).filter(Boolean)
  const states = new Set(view.states)
  const matching = machines.filter(
    (machine) =>
      (states.size === 0 || states.has(machine.state)) &&
      (view.image === '' || (machine.image ?? NO_IMAGE) === view.image) &&
      (view.tag === '' || machine.tags.includes(view.tag)) &&
      (view.locked === undefined || machine.locked === view.locked) &&
      words.every((word) => textOf(machine).includes(word)),
  )
  return matching.toSorted(comparison(view))
}

/** What the search looks through, made once for each version of a machine. */
const texts = new WeakMap<Machine, string>()

function textOf(machine: Machine): string {
  const known = texts.get(machine)
  if (known !== undefined) return known
  const { name, hostname, macs, serial, manufacturer, product, image, tags } = machine
  // A MAC as labels print it is found too.
  const bare = macs.map((mac) => mac.replaceAll(':', ''))
  const dashed = macs.map((mac) => mac.replaceAll(':', '-'))
  const parts = [name, hostname, ...macs, ...bare, ...dashed, serial, manufacturer, product, image]
  const text = [...parts, ...tags].join('\n').toLowerCase()
  texts.set(machine, text)
  return text
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

function comparison({ sort, descending }: MachinesView): (a: Machine, b: Machine) => number {
  const sign = descending ? -1 : 1
  return (a, b) => {
    const [left, right] = [sortValue(a, sort), sortValue(b, sort)]
    // What has none comes last, whichever way one sorts.
    if (left === '' || right === '')
      return left === right ? collator.compare(a.mac, b.mac) : left === '' ? 1 : -1
    return sign * collator.compare(left, right) || collator.compare(a.mac, b.mac)
  }
}

function sortValue(machine: Machine, key: SortKey): string {
  if (key === 'state') return String(STATES_BY_URGENCY.indexOf(machine.state))
  return machine[key] ?? ''
}

/** How many are in each state, of all. */
export function countStates(machines: readonly Machine[]): Map<MachineState, number> {
  const counts = new Map<MachineState, number>()
  for (const { state } of machines) counts.set(state, (counts.get(state) ?? 0) + 1)
  return counts
}

/** What the filters offer: each image and tag that a machine has. */
export function filterChoices(machines: readonly Machine[]): { images: string[]; tags: string[] } {
  const sorted = (values: Iterable<string>) => [...values].toSorted(collator.compare)
  return {
    images: sorted(new Set(machines.flatMap(({ image }) => image ?? []))),
    tags: sorted(new Set(machines.flatMap(({ tags }) => tags))),
  }
}
