import { differingPlaces, differingRanges, mib } from '#protocol/run/comparison-text.ts'
import type { DiskComparison } from '#protocol/run/run.ts'
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
          <Fact name="Where">{differingPlaces(comparison)}</Fact>
          <Fact name="At MiB">
            {differingRanges(comparison, { shown: SHOWN_RANGES, rest: 'and more' })}
          </Fact>
        </>
      )}
    </>
  )
}
