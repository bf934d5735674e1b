import { Type, type Static } from 'typebox'
import { MAC_PATTERN, parseMac } from '#protocol/mac.ts'
import { MACHINE_SORT_KEYS, MACHINE_STATES, type MachineState } from '#protocol/machine/machine.ts'
import { ImageReference } from '#protocol/shapes.ts'
import type {
  MachineCursor,
  MachineFilter,
  MachineListOptions,
  MachineOrder,
} from '#server/db/machines/machine-list.ts'
import { BadRequestError } from '../http/errors.ts'

const DEFAULT_PAGE_MACHINES = 100
const MAX_PAGE_MACHINES = 5000
/** Each inventory is some kilobytes. */
const MAX_PAGE_INVENTORIES = 1000
const SORT_PATTERN = `^-?(${MACHINE_SORT_KEYS.join('|')})$`
const STATES_PATTERN = `^(${MACHINE_STATES.join('|')})(,(${MACHINE_STATES.join('|')}))*$`
const MAC_REGEXP = new RegExp(MAC_PATTERN)

/** What a list of machines can be asked for. */
export const MachineQuerySchema = Type.Object({
  q: Type.Optional(
    Type.String({
      maxLength: 200,
      description:
        'Words that all must be found in name, hostname, MACs (in any spelling), manufacturer, product, serial, image or tags',
    }),
  ),
  state: Type.Optional(
    Type.String({
      pattern: STATES_PATTERN,
      description: 'One state, or several with commas between them',
    }),
  ),
  image: Type.Optional(ImageReference),
  tag: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  locked: Type.Optional(Type.Boolean()),
  sort: Type.Optional(
    Type.String({
      pattern: SORT_PATTERN,
      description: `One of ${MACHINE_SORT_KEYS.join(', ')}; with "-" before it, descending. Absent: mac`,
    }),
  ),
  inventory: Type.Optional(
    Type.Boolean({ description: `false: without inventories, up to ${MAX_PAGE_MACHINES} a page` }),
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: MAX_PAGE_MACHINES,
      description: 'Where inventories are large, a page ends earlier, and "next" goes on',
    }),
  ),
  after: Type.Optional(
    Type.String({ maxLength: 2000, description: 'The "next" of the page before, as it is' }),
  ),
})
export type MachineQuery = Static<typeof MachineQuerySchema>

/** Throws BadRequestError. */
export function readMachineQuery(
  query: MachineQuery,
): MachineListOptions & { order: MachineOrder } {
  const { sort = 'mac', inventory = true, limit = DEFAULT_PAGE_MACHINES } = query
  if (inventory && limit > MAX_PAGE_INVENTORIES)
    throw new BadRequestError(
      `The limit is ${limit} but a list with inventories ends at ${MAX_PAGE_INVENTORIES}; ask with inventory=false`,
    )
  const descending = sort.startsWith('-')
  const key = sort.slice(descending ? 1 : 0) as MachineOrder['key'] // as the pattern says
  return {
    filter: filterOf(query),
    order: { key, descending },
    after: query.after === undefined ? undefined : readCursor(query.after, sort),
    limit,
    inventory,
  }
}

function filterOf({ q, state, image, tag, locked }: MachineQuery): MachineFilter {
  return { q, states: state?.split(',') as MachineState[] | undefined, image, tag, locked }
}

/** Opaque to the caller; it holds the order too, for in another one it would mean nothing. */
export function writeCursor({ value, mac }: MachineCursor, sort = 'mac'): string {
  if (sort === 'mac') return mac
  return Buffer.from(JSON.stringify([sort, value, mac])).toString('base64url')
}

function readCursor(text: string, sort: string): MachineCursor {
  if (sort === 'mac' && MAC_REGEXP.test(text)) return { value: parseMac(text), mac: parseMac(text) }
  const [cursorSort, value, mac] = parseParts(text)
  if (cursorSort !== sort || typeof value !== 'string' || typeof mac !== 'string')
    throw new BadRequestError(
      `The cursor "${text.slice(0, 40)}" is none of a list sorted by "${sort}"; begin again without "after"`,
    )
  // PostgreSQL's texts hold no NUL.
  return { value: value.replaceAll('\0', ''), mac: parseMac(mac) }
}

function parseParts(text: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    return Array.isArray(parts) && MAC_REGEXP.test(String(parts[2])) ? parts : []
  } catch {
    return []
  }
}
