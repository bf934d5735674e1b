import { MAC_PATTERN, parseMac } from '#protocol/mac.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { ApiClient, Call } from './api-client.ts'
import { CliError, EXIT, UsageError } from './errors.ts'

/** Which machines a command is about: MACs, names, hostnames, serial numbers, or filters. */

export interface MachineFilter {
  query?: string
  state?: string
  tag?: string
  assigned?: string
  locked?: boolean
  sort?: string
}

export function filterQuery(filter: MachineFilter): NonNullable<Call['query']> {
  const { query, assigned, ...same } = filter
  return { q: query, image: assigned, ...same, inventory: false }
}

export async function listMachines(api: ApiClient, filter: MachineFilter) {
  return await api.list<Machine>('/api/machines', filterQuery(filter))
}

/** The MAC that a machine is known by. Throws CliError for none and for several. */
export async function findMac(api: ApiClient, text: string): Promise<string> {
  if (new RegExp(MAC_PATTERN).test(text)) return parseMac(text)
  const { items } = await listMachines(api, { query: text })
  const matching = items.filter((machine) => isCalled(machine, text))
  const [only, ...others] = matching
  if (!only) throw new CliError(EXIT.notFound, `No machine is called "${text}"${hint(items)}`)
  if (others.length > 0)
    throw new UsageError(
      `"${text}" is ${matching.length} machines: ${matching.map(({ mac }) => mac).join(', ')}; name one by its MAC`,
    )
  return only.mac
}

function isCalled({ name, hostname, serial }: Machine, text: string): boolean {
  return [name, hostname, serial].some((each) => each?.toLowerCase() === text.toLowerCase())
}

function hint(items: readonly Machine[]): string {
  if (items.length === 0) return '; "stampede machines ls" lists them'
  const some = items.slice(0, 5).map(({ name, mac }) => `${name} (${mac})`)
  return `; like it are ${some.join(', ')}${items.length > 5 ? ', …' : ''}`
}

/** What was named, or what the filters leave; never all because nothing was said. */
export async function selectMacs(
  api: ApiClient,
  names: readonly string[],
  filter: MachineFilter & { all?: boolean },
): Promise<string[]> {
  const { all, ...rest } = filter
  // A variable of a script that was never set would else mean every machine there is.
  for (const [name, value] of Object.entries(rest))
    if (typeof value === 'string' && value.trim() === '')
      throw new UsageError(`--${name} says nothing; give it a value, or --all for all machines`)
  const isFiltered = all || Object.values(rest).some((value) => value !== undefined)
  if (names.length > 0 && isFiltered) throw new UsageError('Name machines or filter them, not both')
  if (names.length > 0) {
    const macs: string[] = []
    for (const name of names) macs.push(await findMac(api, name))
    return [...new Set(macs)]
  }
  if (!isFiltered)
    throw new UsageError('Name at least one machine, or choose with --tag, --state, --query, --all')
  const { items } = await listMachines(api, rest)
  if (items.length === 0) throw new CliError(EXIT.notFound, 'No machine fits these filters')
  return items.map(({ mac }) => mac)
}
