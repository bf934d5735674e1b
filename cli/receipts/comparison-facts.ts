import { differingPlaces, differingRanges } from '#protocol/run/comparison-text.ts'
import type { DiskComparison } from '#protocol/run/run.ts'
import { printable } from '../text/text.ts'

/** More would fill the screen; the receipt that is saved has up to a thousand. */
const SHOWN_RANGES = 20
const REST = 'and more, which --output saves'

/** What was compared, and where the disk holds something else; nothing, if nothing was. */
export function comparisonFacts(comparison: DiskComparison | undefined): [string, string][] {
  if (!comparison) return []
  const { chunksCompared, chunksUnused, chunksDiffering, chunksUnreadable, matches } = comparison
  const compared: [string, string] = [
    'Compared',
    `${chunksCompared} MiB; ${chunksUnused} MiB of free space left out`,
  ]
  if (matches) return [compared, ['Differ', 'none: the disk holds the image']]
  const unreadable = chunksUnreadable > 0 ? `, of which ${chunksUnreadable} MiB cannot be read` : ''
  return [
    compared,
    ['Differ', `${chunksDiffering} MiB${unreadable}`],
    ['Where', printable(differingPlaces(comparison))],
    ['At MiB', differingRanges(comparison, { shown: SHOWN_RANGES, rest: REST })],
  ]
}
