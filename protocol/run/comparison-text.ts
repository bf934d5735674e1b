import { mibRangeText } from './mib-range.ts'
import type { DiskComparison } from './run.ts'

/** `1,234 MiB` */
export function mib(count: number): string {
  return `${count.toLocaleString('en')} MiB`
}

/** Which partitions differ, and by how much: `partition 2 "root": 3 MiB, outside of partitions: 1 MiB`. */
export function differingPlaces({ partitions, chunksOutside }: DiskComparison): string {
  const places = partitions
    .filter(({ chunksDiffering }) => chunksDiffering > 0)
    .map(
      ({ number, name, chunksDiffering }) =>
        `partition ${number}${name === undefined ? '' : ` "${name}"`}: ${mib(chunksDiffering)}`,
    )
  if (chunksOutside > 0) places.push(`outside of partitions: ${mib(chunksOutside)}`)
  return places.join(', ')
}

/** The first so many ranges, and `rest` if there are more. */
export function differingRanges(
  { differing }: DiskComparison,
  { shown, rest }: { shown: number; rest: string },
): string {
  const texts = differing.slice(0, shown).map(mibRangeText)
  return [...texts, ...(differing.length > shown ? [rest] : [])].join(', ')
}
