import type { Sha256 } from '#protocol/sha256.ts'
import { type DiskContent, diskParts } from './disk-content.ts'
import type { ExportPart } from './export-parts.ts'
import { planQcow2, type Qcow2Plan, qcow2Parts } from './qcow2-export.ts'

/** A file that holds the disk uncompressed, so that its bytes follow from the content alone. */
export interface DiskFormat {
  suffix: string
  mediaType: string
  /** Tells its ETag from that of the other files of the same content. */
  tag: string
  open: (digest: Sha256, disk: DiskContent) => Promise<OpenedDisk>
}

export interface OpenedDisk {
  totalBytes: number
  /** From the first byte on; those that end before `start` cannot be loaded. */
  parts: (start: number) => AsyncIterable<ExportPart>
}

export const RAW_EXPORT: DiskFormat = {
  suffix: '.img',
  mediaType: 'application/octet-stream',
  tag: 'raw',
  open: async (_digest, disk) => ({
    totalBytes: disk.sizeBytes,
    parts: (start) => diskParts(disk, start),
  }),
}

/** Of the images of which ranges were asked for last. */
const KEPT_PLANS = 16
const plans = new Map<Sha256, Promise<Qcow2Plan>>()

export const QCOW2_EXPORT: DiskFormat = {
  suffix: '.qcow2',
  mediaType: 'application/octet-stream',
  tag: 'qcow2',
  async open(digest, disk) {
    let planning = plans.get(digest)
    if (!planning) {
      planning = planQcow2(disk)
      plans.set(digest, planning)
      planning.catch(() => plans.delete(digest))
      if (plans.size > KEPT_PLANS) plans.delete(plans.keys().next().value!)
    }
    const plan = await planning
    return { totalBytes: plan.totalBytes, parts: (start) => qcow2Parts(disk, plan, start) }
  },
}

export const DISK_FORMATS = [RAW_EXPORT, QCOW2_EXPORT] as const
