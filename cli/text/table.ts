import { stripVTControlCharacters } from 'node:util'
import Table from 'cli-table3'
import { paint, printable } from './text.ts'

/** A table without lines, that `awk` and people read alike. */

export interface Column<Row> {
  head: string
  cell: (row: Row) => string | number | undefined
  align?: 'right'
  /** The last to be cut when the terminal is narrow. */
  key?: boolean
  /** Not cut to less than so many characters; 8 where it does not say. */
  min?: number
  /** Paints a cell whose text is known to be harmless. */
  paint?: (text: string) => string
}

const GAP = 2
const MIN_COLUMN = 8
const NO_LINES = Object.fromEntries(
  [
    'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right',
    'left left-mid mid mid-mid right right-mid',
  ]
    .join(' ')
    .split(' ')
    .map((name) => [name, '']),
)

/** `width`: of the terminal; undefined: nothing is cut, as for a pipe. */
export function formatTable<Row>(
  rows: readonly Row[],
  allColumns: readonly Column<Row>[],
  width: number | undefined,
): string {
  const allWidths = allColumns.map((column) => naturalWidth(rows, column))
  const chosen = chooseColumns(allWidths, allColumns, width)
  const columns = chosen.map((index) => allColumns[index]!)
  const natural = chosen.map((index) => allWidths[index]!)
  const cells = rows.map((row) => columns.map((column) => textOf(column.cell(row))))
  const widths = width === undefined ? natural : fitWidths(natural, columns, width)
  const last = columns.length - 1
  const table = new Table({
    chars: { ...NO_LINES, middle: ' '.repeat(GAP) },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    colWidths: widths.map((columnWidth) => Math.max(1, columnWidth)),
    colAligns: columns.map(({ align }) => align ?? 'left'),
    head: columns.map(({ head }) => paint('dim', head.toUpperCase())),
  })
  for (const row of cells)
    table.push(row.map((text, index) => (columns[index]!.paint ?? String)(text)))
  const lines = table.toString().split('\n')
  return columns[last]?.align ? lines.join('\n') : lines.map((line) => line.trimEnd()).join('\n')
}

function naturalWidth<Row>(rows: readonly Row[], column: Column<Row>): number {
  const widths = rows.map((row) => displayWidth(textOf(column.cell(row))))
  return widths.reduce((most, each) => Math.max(most, each), column.head.length)
}

/** Where even cut columns have no room, those at the right are left out; their places in `columns`. */
export function chooseColumns(
  natural: readonly number[],
  columns: readonly { key?: boolean; min?: number }[],
  width = Infinity,
): number[] {
  const chosen = columns.map((_, index) => index)
  const least = (index: number) =>
    columns[index]!.key ? natural[index]! : Math.min(natural[index]!, leastOf(columns[index]!))
  const total = () => chosen.reduce((sum, index) => sum + least(index) + GAP, -GAP)
  while (total() > width) {
    const last = chosen.findLast((index) => !columns[index]!.key)
    if (last === undefined) break
    chosen.splice(chosen.indexOf(last), 1)
  }
  return chosen
}

function leastOf({ min = MIN_COLUMN }: { min?: number }): number {
  return min
}

function textOf(value: string | number | undefined): string {
  if (value === undefined || value === '') return '–'
  return printable(String(value)).replace(/\s+/g, ' ')
}

function displayWidth(text: string): number {
  return Array.from(stripVTControlCharacters(text)).length
}

/** Takes from the widest first; from the key columns only when nothing else is left to take. */
export function fitWidths(
  natural: readonly number[],
  columns: readonly { key?: boolean; min?: number }[],
  width: number,
): number[] {
  const widths = [...natural]
  const gaps = GAP * (widths.length - 1)
  for (const takesKeys of [false, true]) {
    for (;;) {
      const excess = widths.reduce((sum, each) => sum + each, gaps) - width
      const candidates = widths
        .map((each, index) => ({ each, index }))
        .filter(
          ({ each, index }) =>
            each > leastOf(columns[index]!) && (takesKeys || !columns[index]!.key),
        )
      const widest = candidates.toSorted((a, b) => b.each - a.each)[0]
      if (excess <= 0 || !widest) break
      const next = candidates.filter(({ index }) => index !== widest.index)
      const floor = Math.max(leastOf(columns[widest.index]!), ...next.map(({ each }) => each - 1))
      widths[widest.index] = Math.max(Math.min(floor, widest.each - 1), widest.each - excess)
    }
  }
  return widths
}

/** Names and values below each other; what is undefined has no line. */
export function formatFacts(facts: readonly (readonly [string, string | undefined])[]): string {
  const shown = facts.filter((fact): fact is [string, string] => fact[1] !== undefined)
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown
    .map(([name, value]) => `${paint('dim', name.padEnd(width))}  ${value}`.trimEnd())
    .join('\n')
}
