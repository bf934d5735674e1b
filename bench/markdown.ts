import { formatSpread, formatValue, median, ratio, type Measurement } from './measurement.ts'

/** A table for people and for the README. Pure. */

export interface Table {
  title: string
  /** Of the same unit; the last column holds each against the first. */
  rows: readonly Measurement[]
}

export function formatTable({ title, rows }: Table): string {
  const [first] = rows
  if (!first) return ''
  const lines = rows.map((row) => {
    const times = row === first ? '1.00 ×' : `${ratio(row, first).toFixed(2)} ×`
    const name = row.name.replaceAll('|', '\\|')
    return `| ${name} | ${formatValue(median(row.rounds), row.unit)} | ${formatSpread(row)} | ${times} |`
  })
  return [`| ${title} | median | range | |`, '| --- | --- | --- | --- |', ...lines].join('\n')
}
