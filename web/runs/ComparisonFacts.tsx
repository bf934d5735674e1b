import { mibRangeText } from '#protocol/mib-range.ts'
import type { DiskComparison } from '#protocol/run.ts'
import { Fact } from './ReceiptFact.tsx'

/** More would fill the page; the file that is downloaded has up to a thousand. */
const SHOWN_RANGES = 100

/** What was compared, and where the disk holds something else. */
export function ComparisonFacts({ comparison }: { comparison: DiskComparison }) {
  const { chunksCompared, chunksUnused, chunksDiffering, chunksUnreadable, matches } = comparison
  return (
    <>
      <Fact name="Compared">{mib(chunksCompared)}</Fact>
      <Fact name="Free space left out">{mib(chunksUnused)}</Fact>
      {!matches && (
        <>
          <Fact name="Differ">{mib(chunksDiffering)}</Fact>
          <Fact name="Could not be read">{chunksUnreadable > 0 && mib(chunksUnreadable)}</Fact>
          <Fact name="Where">{placesText(comparison)}</Fact>
          <Fact name="At MiB">{rangesText(comparison.differing)}</Fact>
        </>
      )}
    </>
  )
}

function mib(count: number): string {
  return `${count.toLocaleString('en')} MiB`
}

function placesText({ partitions, chunksOutside }: DiskComparison): string {
  const places = partitions
    .filter(({ chunksDiffering }) => chunksDiffering > 0)
    .map(
      ({ number, name, chunksDiffering }) =>
        `partition ${number}${name === undefined ? '' : ` "${name}"`}: ${mib(chunksDiffering)}`,
    )
  if (chunksOutside > 0) places.push(`outside of partitions: ${mib(chunksOutside)}`)
  return places.join(', ')
}

function rangesText(ranges: DiskComparison['differing']): string {
  const shown = ranges.slice(0, SHOWN_RANGES).map(mibRangeText)
  return shown.join(', ') + (ranges.length > SHOWN_RANGES ? ', and more' : '')
}
