import type { Disk, Partition } from '#protocol/inventory.ts'
import type { Region } from './region.ts'

/** Types of MBR partitions that only hold others; their own sectors lie between those. */
const EXTENDED = new Set(['0x05', '0x0f', '0x85'])

/** Where loaders keep their code, as bytes: nothing is amiss when no file system is found. */
const RAW_TYPES = new Set([
  '21686148-6449-6e6f-744e-656564454649', // BIOS boot
  'e3c9e316-0b5c-4db8-817d-f92df00215ae', // Microsoft reserved
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b', // PowerPC PReP
  '0x41', // PReP
])

/** The parts of a disk that may hold a file system; none of a table that can't be read. */
export function regionsOf(disk: Disk, sizeBytes: number): Region[] {
  if (disk.partitionTable.type === 'none')
    return disk.fileSystem ? [{ name: 'The disk', start: 0, end: sizeBytes }] : []
  const regions = disk.partitions
    .filter(({ type }) => type === undefined || !EXTENDED.has(type))
    .map(regionOf)
    .filter(({ start, end }) => start < end && end <= sizeBytes)
  return regions.map((region) => ({
    ...region,
    overlaps: regions.some((other) => other !== region && overlap(region, other)),
  }))
}

function regionOf({ number, startBytes, sizeBytes, type }: Partition): Region {
  return {
    name: `Partition ${number}`,
    partition: number,
    start: startBytes,
    end: startBytes + sizeBytes,
    isRaw: type !== undefined && RAW_TYPES.has(type),
  }
}

function overlap(one: Region, other: Region): boolean {
  return one.start < other.end && other.start < one.end
}
