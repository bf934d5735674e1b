import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { mibRangeText } from '#protocol/run/mib-range.ts'
import type { DiskComparison } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Comparison } from '../pipeline/compare-disk.ts'

/** Ranges that a person reads; `--json` has all. */
const SHOWN_RANGES = 20

/** What `verify` found, as it prints it; of `differing`, all. */
export interface VerifyReport extends DiskComparison {
  imageDigest: Sha256
  disk: Pick<Disk, 'path' | 'model' | 'serial' | 'wwn' | 'sizeBytes'>
}

export function makeReport(disk: Disk, imageDigest: Sha256, found: Comparison): VerifyReport {
  const { path, model, serial, wwn, sizeBytes } = disk
  const { differing } = found
  const count = (holds: (place: number) => boolean) => differing.filter(holds).length
  const partitions = disk.partitions.map(({ number, name, startBytes, sizeBytes: bytes }) => {
    const isIn = (place: number) =>
      place * CHUNK_BYTES < startBytes + bytes && (place + 1) * CHUNK_BYTES > startBytes
    return { number, ...(name !== undefined && { name }), chunksDiffering: count(isIn), isIn }
  })
  return {
    matches: differing.length === 0,
    imageDigest,
    disk: { path, model, serial, wwn, sizeBytes },
    chunksCompared: found.chunksCompared,
    chunksDiffering: differing.length,
    chunksUnreadable: found.unreadable.length,
    chunksUnused: found.chunksUnused,
    differing: joinRanges(differing),
    partitions: partitions.map(({ isIn: _isIn, ...told }) => told),
    chunksOutside: count((place) => !partitions.some(({ isIn }) => isIn(place))),
  }
}

function joinRanges(places: readonly number[]): VerifyReport['differing'] {
  const ranges: VerifyReport['differing'] = []
  for (const place of places) {
    const last = ranges.at(-1)
    if (last?.endMib === place) last.endMib++
    else ranges.push({ startMib: place, endMib: place + 1 })
  }
  return ranges
}

/** The report in words; `rest`: where the ranges are that it has no room for. */
export function tellReport(report: VerifyReport, rest = 'all with --json'): string {
  const { disk, chunksCompared, chunksUnused, chunksDiffering } = report
  const unused = `${chunksUnused} MiB of free space were not compared`
  if (report.matches)
    return `Disk ${disk.path} holds the image: ${chunksCompared} MiB compared, all the same; ${unused}`
  const lines = [
    `Disk ${disk.path} differs from the image in ${chunksDiffering} of ${chunksCompared} MiB; ${unused}`,
    ...report.partitions
      .filter((partition) => partition.chunksDiffering > 0)
      .map(({ number, name, chunksDiffering: count }) => {
        return `  partition ${number}${name ? ` "${name}"` : ''}: ${count} MiB`
      }),
    ...(report.chunksOutside > 0
      ? [`  outside of partitions (tables, boot code): ${report.chunksOutside} MiB`]
      : []),
    ...(report.chunksUnreadable > 0
      ? [`  the disk could not read ${report.chunksUnreadable} MiB of them`]
      : []),
    `  at MiB ${rangesText(report.differing, rest)}`,
    'A system that was started, grown or given an identity of its own differs from its image: that is no damage by itself.',
    'So does the disk that was captured: free space beside files of the same MiB, and at the ends of partitions and volumes, is zeros in the image',
  ]
  return lines.join('\n')
}

function rangesText(ranges: VerifyReport['differing'], rest: string): string {
  const shown = ranges.slice(0, SHOWN_RANGES).map(mibRangeText)
  const left = ranges.length - shown.length
  return (
    shown.join(', ') +
    (left > 0 ? ` and ${left} more ${left === 1 ? 'range' : 'ranges'} (${rest})` : '')
  )
}
