import assert from 'node:assert/strict'
import { after, it } from 'node:test'
import { chanceOf, FAULT_SEED, type Chance } from './seed.ts'

/** How something that met a fault may end. There is nothing between. */
export const OUTCOMES = {
  verified: 'the run succeeded, and the disk holds the image, compared byte by byte',
  'not bootable':
    'the run failed and said why, and the disk has neither partition table nor boot code',
  whole:
    'the run failed and said why, or was cut short, after the last byte of the image was written',
  untouched: 'the run failed and said why, and the disk is what it was before',
  complete: 'the image is there, and its export is the disk, compared byte by byte',
  'no image': 'the run failed and said why, and there is no image; those there were are unharmed',
} as const
export type Outcome = keyof typeof OUTCOMES

/** One fault, at one place, at one moment. */
export interface Cell<Lab> {
  /** Where the fault is. */
  place: string
  /** What it is. */
  kind: string
  /** When it is. */
  moment: string
  /** Several where chance chooses the moment. */
  outcomes: readonly Outcome[]
  /** Does something while the fault happens, and judges what came of it. */
  run(lab: Lab, chance: Chance): Promise<Outcome>
}

export function cellName({ place, kind, moment }: Cell<never>): string {
  return `${place}: ${kind}, ${moment}`
}

interface Row {
  cell: Cell<never>
  outcome: string
  seconds: number
}

/** A test for each cell, and after them a table of what came of each. */
export function testCells<Lab>(cells: readonly Cell<Lab>[], lab: () => Lab): void {
  const rows: Row[] = []
  for (const cell of cells) {
    it(cellName(cell), async () => {
      const start = Date.now()
      const row = { cell, outcome: 'FAILED', seconds: 0 }
      rows.push(row)
      const outcome = await cell.run(lab(), chanceOf(cellName(cell)))
      row.seconds = (Date.now() - start) / 1000
      row.outcome = outcome
      if (!cell.outcomes.includes(outcome)) {
        row.outcome = `${outcome}, NOT ${cell.outcomes.join(' or ')}`
        assert.fail(`It ended "${outcome}", not "${cell.outcomes.join('" or "')}"`)
      }
    })
  }
  after(() => console.log(formatRows(rows)))
}

function formatRows(rows: readonly Row[]): string {
  const table = [
    ['place', 'kind', 'moment', 'outcome', 'seconds'],
    ...rows.map(({ cell, outcome, seconds }) => [
      cell.place,
      cell.kind,
      cell.moment,
      outcome,
      seconds.toFixed(1),
    ]),
  ]
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  return [`FAULT_SEED=${FAULT_SEED}`, ...lines].join('\n')
}
