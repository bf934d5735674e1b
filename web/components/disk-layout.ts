/** A partition as an inventory or an image tells it. */
export interface DrawnPartition {
  number: number
  startBytes: number
  sizeBytes: number
  name?: string | undefined
  label?: string | undefined
  /** `ext4`, `swap`, `LVM2_member`. */
  fileSystem?: string | undefined
}

export type DiskPart =
  | { kind: 'partition'; percent: number; partition: DrawnPartition }
  | { kind: 'free'; percent: number; sizeBytes: number }

/** Gaps that alignment leaves are not free space. */
const LEAST_FREE_BYTES = 4 * 1024 * 1024

/** What lies on a disk from its first byte to its last, partitions and what is free between them. */
export function diskParts(sizeBytes: number, partitions: DrawnPartition[]): DiskPart[] {
  const percent = (bytes: number) => (sizeBytes > 0 ? (bytes / sizeBytes) * 100 : 0)
  const parts: DiskPart[] = []
  let end = 0
  const addFree = (until: number) => {
    const free = until - end
    if (free >= LEAST_FREE_BYTES)
      parts.push({ kind: 'free', percent: percent(free), sizeBytes: free })
  }
  for (const partition of partitions.toSorted((a, b) => a.startBytes - b.startBytes)) {
    addFree(partition.startBytes)
    parts.push({ kind: 'partition', percent: percent(partition.sizeBytes), partition })
    end = Math.max(end, partition.startBytes + partition.sizeBytes)
  }
  addFree(sizeBytes)
  return parts
}
