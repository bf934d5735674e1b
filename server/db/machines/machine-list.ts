import { and, eq, getTableColumns, inArray, sql, type SQL } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import type { Machine, MachineSortKey, MachineState } from '#protocol/machine/machine.ts'
import type { Database } from '../database.ts'
import { MACHINE_LINE, toMachines, type MachineLine } from './machine-resource.ts'
import { namedLike } from '../images/image-usage.ts'
import { machineMacs, machines } from '../schema.ts'

export interface MachineFilter {
  /** Words that all must be found somewhere; MACs in any spelling. */
  q?: string | undefined
  /** Any of them. */
  states?: readonly MachineState[] | undefined
  image?: string | undefined
  tag?: string | undefined
  locked?: boolean | undefined
}

export interface MachineOrder {
  key: MachineSortKey
  descending: boolean
}

/** Where the page before ended. */
export interface MachineCursor {
  value: string
  mac: Mac
}

export interface MachineListOptions {
  filter?: MachineFilter
  order?: MachineOrder
  after?: MachineCursor | undefined
  limit: number
  /** Without inventories a list of thousands takes milliseconds. */
  inventory?: boolean
}

/**
 * A page ends with the machine whose inventory fills this: a thousand ordinary ones fit, but one may be 4 MiB,
 * and a hundred of those would hold up everybody for a minute.
 */
const MAX_INVENTORY_BYTES = 4 * 1024 * 1024

/** Sorts after whatever anybody writes, so that what is missing comes last. */
const LAST_TEXT = '\u{10FFFF}'
const MAX_WORDS = 8
/** Fewer hexadecimal digits are more likely part of a name. */
const SHORTEST_MAC_PART = 4

/** One page; `next` is where it ended, if there is more. */
export async function listMachines(
  db: Database,
  options: MachineListOptions,
): Promise<{ items: Machine[]; next: MachineCursor | null }> {
  const { filter = {}, order = BY_MAC, after, limit, inventory = true } = options
  const key = SORT_KEYS[order.key]
  const direction = order.descending ? sql`desc` : sql`asc`
  // Sorted within, so that only what is on the page is written as JSON.
  const sorted = db
    .select({ ...getTableColumns(machines), sortValue: key.value.as('sort_value') })
    .from(machines)
    .where(and(matches(filter), after && isAfter(after, order)))
    .orderBy(sql`${key.value} ${direction}`, sql`${machines.mac} ${direction}`)
    .limit(limit + 1)
    .as('sorted')
  const cells = [sorted.sortValue, ...MACHINE_LINE.map((name) => sorted[name])]
  const found = await db
    .select({ cells: sql<string>`json_build_array(${sql.join(cells, sql`, `)})::text` })
    .from(sorted)
    .orderBy(sql`${sorted.sortValue} ${direction}`, sql`${sorted.mac} ${direction}`)
  const whole = found.slice(0, limit).map((row) => readCells(row.cells))
  const page = inventory ? await withInventories(db, whole) : whole
  const last = found.length > page.length ? page.at(-1) : undefined
  const lines = page.map(({ line }) => line)
  return {
    items: await toMachines(db, lines),
    next: last ? { value: last.sortValue, mac: last.line.mac } : null,
  }
}

interface ListedLine {
  sortValue: string
  line: MachineLine
}

/** A row as one JSON text: a database driver takes five times as long over two thousand times fifteen values. */
function readCells(text: string): ListedLine {
  const [sortValue, ...values] = JSON.parse(text) as [string, ...unknown[]]
  const entries: Record<string, unknown> = {}
  for (const [place, name] of MACHINE_LINE.entries()) entries[name] = values[place]
  const line = entries as MachineLine & { lastSeenAt: string | null } // its columns, as JSON has them
  return { sortValue, line: { ...line, lastSeenAt: line.lastSeenAt && new Date(line.lastSeenAt) } }
}

/** As many of these as there is room for, but one at least. An inventory is read only if it is told. */
async function withInventories(db: Database, page: readonly ListedLine[]): Promise<ListedLine[]> {
  const keys = sql`${sql.param(page.map(({ line }) => line.mac))}::text[]`
  // "offset 0": else each text would be made twice.
  const result = await db.execute(sql`
    with recursive told as (
      select 0 as place, null::text as inventory, 0::bigint as bytes
      union all
      select place + 1, next.inventory, bytes + coalesce(octet_length(next.inventory), 0)
      from told left join lateral (
        select ${machines.inventory}::text as inventory from ${machines}
        where ${machines.mac} = (${keys})[place + 1] offset 0
      ) next on true
      where place < cardinality(${keys}) and bytes < ${MAX_INVENTORY_BYTES}
    )
    select inventory from told where place > 0 order by place`)
  const { rows } = result as unknown as { rows: { inventory: string | null }[] } // both drivers answer so
  return rows.map(({ inventory }, place) => {
    const { sortValue, line } = page[place]!
    return { sortValue, line: { ...line, inventory: inventory && JSON.parse(inventory) } }
  })
}

const BY_MAC: MachineOrder = { key: 'mac', descending: false }

/** Compared byte by byte, so that pages fit together on every database and in every locale. */
const text = (column: SQL) => ({ value: sql`(${column}) collate "C"` })
const textOrLast = (column: SQL) => text(sql`coalesce(lower(${column}), ${LAST_TEXT})`)
const SORT_KEYS: Record<MachineSortKey, { value: SQL }> = {
  name: text(sql`lower(${machines.name})`),
  // As it is, for its index: these sort alike in every locale.
  mac: { value: sql`${machines.mac}` },
  state: text(sql`${machines.state}`),
  image: textOrLast(sql`${machines.image}`),
  product: textOrLast(sql`${machines.product}`),
  serial: textOrLast(sql`${machines.serial}`),
  // In UTC and of one length, so that it sorts as text.
  lastSeenAt: text(
    sql`coalesce(to_char(${machines.lastSeenAt} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '')`,
  ),
}

function isAfter({ value, mac }: MachineCursor, order: MachineOrder): SQL {
  const place = sql`(${SORT_KEYS[order.key].value}, ${machines.mac} collate "C")`
  const end = sql`(${value}::text, ${mac}::text)`
  return order.descending ? sql`${place} < ${end}` : sql`${place} > ${end}`
}

function matches({ q, states, image, tag, locked }: MachineFilter): SQL | undefined {
  const words = q?.split(/\s+/).filter(Boolean).slice(0, MAX_WORDS) ?? []
  return and(
    ...words.map(hasWord),
    states && inArray(machines.state, [...states]),
    image === undefined ? undefined : eq(namedLike(machines.image, image), image),
    tag === undefined ? undefined : sql`${machines.tags} @> ${JSON.stringify([tag])}::jsonb`,
    locked === undefined ? undefined : eq(machines.locked, locked),
  )
}

function hasWord(word: string): SQL {
  const { name, hostname, manufacturer, product, serial, image, tags } = machines
  // One text, so that each row is looked at once; the separator is in no word.
  const haystack = sql`concat_ws(' ', ${name}, ${hostname}, ${manufacturer}, ${product}, ${serial}, ${image}, ${tags}::text)`
  const found = sql`${haystack} ilike ${`%${escapeLike(word)}%`}`
  const digits = word.toLowerCase().replaceAll(/[:.-]/g, '')
  if (digits.length < SHORTEST_MAC_PART || !/^[0-9a-f]+$/.test(digits)) return found
  const cards = sql`select ${machineMacs.machine} from ${machineMacs} where replace(${machineMacs.mac}, ':', '') like ${`%${digits}%`}`
  return sql`(${found} or ${machines.mac} in (${cards}))`
}

function escapeLike(text: string): string {
  return text.replaceAll(/[\\%_]/g, String.raw`\$&`)
}
