/** What was measured, and what follows from it. Pure. */

export type Unit = 'seconds' | 'bytes' | 'bytesPerSecond'

/** One thing of one contender, once a round: `deploy/stampede`, seconds. */
export interface Measurement {
  /** What ratios are made of: `<section>/<contender>`. */
  key: string
  /** For people. */
  name: string
  unit: Unit
  /** Never empty. */
  rounds: number[]
}

export function median(values: readonly number[]): number {
  if (values.length === 0) throw new TypeError('There is no median of no values')
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * How many times `theirs` is `ours`: the median of the ratios within each round, since what disturbs
 * a round disturbs both. What was measured once only is held against every round of the other.
 */
export function ratio(ours: Measurement, theirs: Measurement): number {
  const count = Math.max(ours.rounds.length, theirs.rounds.length)
  const at = ({ rounds }: Measurement, round: number) => rounds[round % rounds.length]!
  if (count % ours.rounds.length !== 0 || count % theirs.rounds.length !== 0)
    throw new TypeError(
      `"${ours.key}" has ${ours.rounds.length} rounds, "${theirs.key}" ${theirs.rounds.length}`,
    )
  return median(Array.from({ length: count }, (_, round) => at(ours, round) / at(theirs, round)))
}

export function formatValue(value: number, unit: Unit): string {
  switch (unit) {
    case 'seconds':
      return `${value.toFixed(value < 10 ? 2 : 1)} s`
    case 'bytes':
      return `${(value / 1e6).toFixed(value < 1e7 ? 1 : 0)} MB`
    case 'bytesPerSecond':
      return `${(value / 1e9).toFixed(2)} GB/s`
  }
}

/** The best and the worst of several rounds; nothing of one. */
export function formatSpread({ rounds, unit }: Measurement): string {
  if (rounds.length < 2) return ''
  return `${formatValue(Math.min(...rounds), unit)} – ${formatValue(Math.max(...rounds), unit)}`
}
