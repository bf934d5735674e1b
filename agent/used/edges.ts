import { extentsOf, type ByteSpan, type Extents } from './extents.ts'

/**
 * Where a RAID, ZFS, LUKS or a file system is known by: some write their superblock only at the end, and LUKS2 keeps a
 * second header up to 4 MiB in. Found on the target from its life before, it would hide what was deployed.
 */
const EDGE_BYTES = 5 * 1024 * 1024

/** Both ends of a partition or volume, which for a small one are all of it. */
export function edgesOf({ start, end }: ByteSpan): Extents {
  return extentsOf([
    { start, end: Math.min(end, start + EDGE_BYTES) },
    { start: Math.max(start, end - EDGE_BYTES), end },
  ])
}
