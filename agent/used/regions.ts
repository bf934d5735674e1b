import type { Disk, Partition } from '#protocol/machine/inventory.ts'
import { LDM_TYPE } from '#protocol/disk/partition-table.ts'
import type { ByteSpan } from './extents.ts'
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

/**
 * Of Windows' logical disk manager: a partition that is cut up into volumes, or into parts of some that go on on other
 * disks. What the first one's file system thinks free may belong to the next.
 */
const MANAGED_TYPES = new Set([
  'af9b60a0-1431-4f62-bc68-3311714a69ad',
  '5808c8aa-7e8f-42e0-85d2-e1e90434cfb3', // its database
  LDM_TYPE,
])

/** Above this, an MBR counts logical partitions, which lie in the extended one. */
const MAX_PRIMARY = 4

/**
 * The parts of a disk that may hold a file system; none of a table that can't be read. `hybrid`: what the MBR of a
 * disk with a GPT lists besides.
 */
export function regionsOf(disk: Disk, sizeBytes: number, hybrid: readonly ByteSpan[]): Region[] {
  if (disk.partitionTable.type === 'none')
    return disk.fileSystem ? [{ name: 'The disk', start: 0, end: sizeBytes }] : []
  const regions = disk.partitions
    .filter((partition) => !isExtended(partition))
    .map(regionOf)
    .filter(({ start, end }) => start < end)
  const extended = disk.partitions.filter(isExtended).map(regionOf)
  // One that ends behind the disk is read with what is outside of partitions, and yet has bytes in common with others.
  return regions
    .filter(({ end }) => end <= sizeBytes)
    .map((region) => {
      const overlaps = overlapOf(region, { regions, extended, hybrid })
      return { ...region, ...(overlaps !== undefined && { overlaps }) }
    })
}

/** Which other part of the disk has bytes in common with a partition, as the end of a sentence. */
function overlapOf(
  region: Region,
  others: { regions: Region[]; extended: Region[]; hybrid: readonly ByteSpan[] },
): string | undefined {
  const isOver = (other: ByteSpan) => other !== region && overlap(region, other)
  if (others.regions.some(isOver)) return 'another partition'
  // What leads to the logical ones lies there, where a file system may think that nothing is.
  if (region.partition! <= MAX_PRIMARY && others.extended.some(isOver))
    return 'the extended partition'
  // A system that goes by the MBR has its files there, and the GPT's file system may be left from before.
  const isOther = ({ start, end }: ByteSpan) => start !== region.start || end !== region.end
  if (others.hybrid.filter(isOther).some(isOver)) return 'a partition that only the MBR lists'
  return undefined
}

function isExtended({ type }: Partition): boolean {
  return type !== undefined && EXTENDED.has(type)
}

function regionOf({ number, startBytes, sizeBytes, type }: Partition): Region {
  return {
    name: `Partition ${number}`,
    partition: number,
    start: startBytes,
    end: startBytes + sizeBytes,
    isRaw: type !== undefined && RAW_TYPES.has(type),
    isManaged: type !== undefined && MANAGED_TYPES.has(type),
  }
}

function overlap(one: ByteSpan, other: ByteSpan): boolean {
  return one.start < other.end && other.start < one.end
}
