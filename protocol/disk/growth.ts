import {
  isExtended,
  isLogical,
  partitionEnd,
  type Layout,
  type LayoutPartition,
} from './disk-layout.ts'

/** File systems that a Linux root may be on and that we know how to grow. */
export const LINUX_FILE_SYSTEMS = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs'])

/** What growing one partition to the end of the disk takes. */
export type GrowthPlan =
  | { kind: 'grow'; changes: PartitionChange[]; limit?: string }
  | { kind: 'full'; limit?: string }
  | { kind: 'blocked'; reason: string }

/** In the order in which they are to be made: an extended partition before the logical one in it. */
export type PartitionChange = { number: number; path: string; sizeSectors: number }

/** Partitions end at full MiBs, as every installer places them; less than one is not worth it. */
const ALIGNMENT_BYTES = 1024 * 1024
/** An MBR counts sectors in 32 bits: 2 TiB with sectors of 512 bytes. */
const MBR_MAX_SECTORS = 2 ** 32 - 1

/**
 * Grows the partition only if nothing but free space lies behind it. A partition behind it, be it
 * swap, may matter to someone, and so the layout is left alone.
 */
export function planGrowth(layout: Layout, number: number, diskBytes: number): GrowthPlan {
  const partition = layout.partitions.find((candidate) => candidate.number === number)
  if (!partition) return { kind: 'blocked', reason: `Partition ${number} is not in the table` }
  // An extended partition starts before the logical ones in it, and has its place also where none are left.
  const last = layout.partitions
    .toSorted((one, other) => one.startSector - other.startSector)
    .at(-1)!
  if (last !== partition)
    return {
      kind: 'blocked',
      reason: `${partition.path} is not the last partition: ${last.path} lies behind it`,
    }
  if (layout.hybridEnd !== undefined && layout.hybridEnd > partitionEnd(partition))
    return {
      kind: 'blocked',
      reason: `${partition.path} is not the last partition: one that only the MBR lists lies behind it`,
    }

  const { end, limit } = growthEnd(layout, diskBytes)
  const limited = limit === undefined ? {} : { limit }
  const outer = isLogical(layout, partition) ? enclosing(layout, partition) : undefined
  const changes = [outer, partition].flatMap((part) => {
    if (!part || end <= partitionEnd(part)) return []
    const { path } = part
    return [{ number: part.number, path, sizeSectors: end - part.startSector }]
  })
  return changes.length === 0 ? { kind: 'full', ...limited } : { kind: 'grow', changes, ...limited }
}

function growthEnd(layout: Layout, diskBytes: number): { end: number; limit?: string } {
  const alignment = ALIGNMENT_BYTES / layout.sectorBytes
  const diskSectors = Math.floor(diskBytes / layout.sectorBytes)
  const usable = layout.table === 'gpt' ? (layout.usableEnd ?? 0) : diskSectors
  const isLimited = layout.table === 'mbr' && usable > MBR_MAX_SECTORS
  const end = isLimited ? MBR_MAX_SECTORS : usable
  const aligned = end - (end % alignment)
  if (!isLimited) return { end: aligned }
  const tib = (aligned * layout.sectorBytes) / 2 ** 40
  const limit = `The disk has an MBR, which reaches no further than ${tib.toFixed(1)} TiB: the rest of it stays unused`
  return { end: aligned, limit }
}

function enclosing(layout: Layout, logical: LayoutPartition): LayoutPartition | undefined {
  return layout.partitions.find(
    (outer) =>
      isExtended(layout, outer) &&
      outer.startSector <= logical.startSector &&
      partitionEnd(logical) <= partitionEnd(outer),
  )
}
