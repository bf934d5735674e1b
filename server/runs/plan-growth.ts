import { isExtended, type Layout, type LayoutPartition } from '#protocol/disk/disk-layout.ts'
import { LINUX_FILE_SYSTEMS, planGrowth } from '#protocol/disk/growth.ts'
import type { ImageInfo, ImagePartition } from '#protocol/image/image-info.ts'
import { MICROSOFT_RECOVERY } from './plan-present.ts'

/** What the agent will do to the root, as far as the image tells without being looked into. */
export type Growth =
  | { kind: 'grows'; partition: number; fromBytes: number; toBytes: number; limit?: string }
  | { kind: 'full'; limit?: string }
  | { kind: 'stays'; reason: string }

/** Partition types of roots whose file system is not known: GPT GUIDs, and those of an MBR. */
const ROOT_TYPES = new Set([
  '0fc63daf-8483-4772-8e79-3d69d8477de4', // Linux data
  '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', // root, x86-64
  'b921b045-1df0-41c3-af44-4c6f280d3fae', // root, arm64
  'e6d6d379-f507-44c2-a23c-238f2a3df928', // LVM
  '0x83',
  '0x8e',
])
const WINDOWS_RECOVERY_TYPES = new Set([MICROSOFT_RECOVERY, '0x27'])
const PARTITION_ENTRY_BYTES = 128
const PARTITION_ENTRIES = 128

export function predictGrowth(info: ImageInfo, sectorBytes: number, diskBytes: number): Growth {
  const root = findRoot(info)
  if (root.kind === 'unclear') return { kind: 'stays', reason: root.reason }
  const layout = layoutOf(info, sectorBytes, diskBytes)
  const { number, sizeBytes } = root.partition
  const plan = planGrowth(layout, number, diskBytes)
  if (plan.kind === 'blocked') return { kind: 'stays', reason: plan.reason }
  const limited = plan.limit === undefined ? {} : { limit: plan.limit }
  const change =
    plan.kind === 'grow' ? plan.changes.find((one) => one.number === number) : undefined
  if (!change) return { kind: 'full', ...limited }
  const toBytes = change.sizeSectors * sectorBytes
  return { kind: 'grows', partition: number, fromBytes: sizeBytes, toBytes, ...limited }
}

type RootGuess = { kind: 'found'; partition: ImagePartition } | { kind: 'unclear'; reason: string }

/** The agent looks into the file systems; from outside, only one that could be the root is sure. */
function findRoot(info: ImageInfo): RootGuess {
  const { partitionTable, partitions = [], rootPartition, operatingSystem } = info
  if (partitionTable === undefined || partitionTable === 'none' || partitions.length === 0)
    return { kind: 'unclear', reason: 'no partition table is known of the image' }
  const noted = partitions.find(({ number }) => number === rootPartition)
  if (noted) return { kind: 'found', partition: noted }
  const layout = { table: partitionTable, sectorBytes: 512, partitions: [] }
  const isHidden = partitions.some(
    (one) => isExtended(layout, toLayoutPartition(one, 512)) && !partitions.some(isLogical),
  )
  if (isHidden)
    return { kind: 'unclear', reason: 'the logical partitions of the image are not known' }
  const linux = partitions.filter(mayBeRoot)
  const windows = partitions.filter((one) => mayBeWindows(one, operatingSystem))
  const [root, ...others] = linux.length > 0 ? linux : windows
  if (!root)
    return {
      kind: 'unclear',
      reason: 'no partition of the image looks like the root of a Linux, or like a Windows',
    }
  if (others.length === 0) return { kind: 'found', partition: root }
  const numbers = [root, ...others].map(({ number }) => number).join(' and ')
  return {
    kind: 'unclear',
    reason: `which of the partitions ${numbers} is the root shows only when it is there`,
  }
}

function isLogical({ number }: ImagePartition): boolean {
  return number >= 5
}

function mayBeRoot({ type, fileSystem }: ImagePartition): boolean {
  if (fileSystem === undefined) return ROOT_TYPES.has(type.toLowerCase())
  return LINUX_FILE_SYSTEMS.has(fileSystem) || fileSystem === 'LVM2_member'
}

/** Of an image that was not looked into, `operatingSystem` is unknown. */
function mayBeWindows({ type, fileSystem }: ImagePartition, operatingSystem = 'Windows'): boolean {
  return (
    fileSystem === 'ntfs' &&
    operatingSystem === 'Windows' &&
    !WINDOWS_RECOVERY_TYPES.has(type.toLowerCase())
  )
}

/** The image's partitions on the disk that it is to be on, its backup table moved to the end. */
function layoutOf(info: ImageInfo, sectorBytes: number, diskBytes: number): Layout {
  const tableSectors = Math.ceil((PARTITION_ENTRIES * PARTITION_ENTRY_BYTES) / sectorBytes)
  const partitions = (info.partitions ?? []).map((one) => toLayoutPartition(one, sectorBytes))
  return {
    table: info.partitionTable ?? 'none',
    sectorBytes,
    partitions: partitions.toSorted((one, other) => one.startSector - other.startSector),
    usableEnd: Math.max(0, Math.floor(diskBytes / sectorBytes) - 1 - tableSectors),
  }
}

function toLayoutPartition(partition: ImagePartition, sectorBytes: number): LayoutPartition {
  return {
    number: partition.number,
    path: `partition ${partition.number}`,
    startSector: partition.startBytes / sectorBytes,
    sizeSectors: partition.sizeBytes / sectorBytes,
    type: partition.type.toLowerCase().replace(/^0x0?/, ''),
  }
}
