import type { ImageInfo, ImagePartition } from '#protocol/image/image-info.ts'
import type { PlanItem } from '#protocol/run/plan.ts'

/** What a disk will look like after its deploy. */

export interface DiskAfter {
  sizeBytes: number
  partitions: (ImagePartition & { grownFromBytes?: number })[]
  /** Nothing is known of what is inside the image but its size. */
  isOpaque: boolean
}

type Fit = NonNullable<PlanItem['fit']>

export function diskAfterDeploy(info: ImageInfo, fit: Fit): DiskAfter {
  const partitions = (info.partitions ?? []).toSorted(
    (left, right) => left.startBytes - right.startBytes,
  )
  return {
    sizeBytes: fit.diskBytes,
    isOpaque: partitions.length === 0,
    partitions: partitions.map((partition) =>
      partition.number === fit.grows?.partition
        ? { ...partition, sizeBytes: fit.grows.toBytes, grownFromBytes: fit.grows.fromBytes }
        : partition,
    ),
  }
}
