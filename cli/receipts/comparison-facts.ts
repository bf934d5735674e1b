import { mibRangeText } from '#protocol/mib-range.ts'
import type { DiskComparison } from '#protocol/run.ts'
import { printable } from '../text.ts'

/** More would fill the screen; the receipt that is saved has up to a thousand. */
const SHOWN_RANGES = 20

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
    ['Where', placesText(comparison)],
    ['At MiB', rangesText(comparison.differing)],
  ]
}

function placesText({ partitions, chunksOutside }: DiskComparison): string {
  const places = partitions
    .filter(({ chunksDiffering }) => chunksDiffering > 0)
    .map(({ number, name, chunksDiffering }) => {
      const called = name === undefined ? '' : ` "${printable(name)}"`
      return `partition ${number}${called}: ${chunksDiffering} MiB`
    })
  if (chunksOutside > 0) places.push(`outside of partitions: ${chunksOutside} MiB`)
  return places.join(', ')
}

function rangesText(ranges: DiskComparison['differing']): string {
  const shown = ranges.slice(0, SHOWN_RANGES).map(mibRangeText)
  return shown.join(', ') + (ranges.length > SHOWN_RANGES ? ', and more, which --output saves' : '')
}
