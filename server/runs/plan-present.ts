import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Disk, FileSystem, Partition } from '#protocol/machine/inventory.ts'
import { ESP_TYPE, MBR_ESP_TYPE } from '#protocol/disk/partition-table.ts'
import type { PlanItem } from '#protocol/run/plan.ts'

/** What is on a disk, in words, for somebody who is about to lose it. */

type Present = NonNullable<PlanItem['present']>

export function describePresent(disk: Disk): Present {
  const operatingSystem = guessOperatingSystem(disk)
  return {
    partitionTable: disk.partitionTable.type,
    partitions: disk.partitions,
    ...(disk.fileSystem && { fileSystem: disk.fileSystem }),
    ...(operatingSystem !== undefined && { operatingSystem }),
    ...(disk.layoutError !== undefined && { layoutError: disk.layoutError }),
  }
}

/** What will be lost when the disk is overwritten, a sentence without a full stop for each thing. */
export function describeLosses(disk: Disk): string[] {
  const system = guessOperatingSystem(disk)
  const losses = system === undefined ? [] : [`What may be an installed ${system}`]
  losses.push(...disk.partitions.map(describePartition))
  if (disk.fileSystem)
    losses.push(
      `${describeContent(disk.fileSystem)} on the whole disk, ${formatBytes(disk.sizeBytes)}`,
    )
  if (disk.layoutError !== undefined)
    losses.push(`What is on the disk is not known: ${disk.layoutError}`)
  if (losses.length > 0) return losses
  const { type } = disk.partitionTable
  const table = type === 'none' ? 'no partition table' : `an empty ${type.toUpperCase()}`
  return [
    `Nothing that is known: ${table} and no file system; other data may be there all the same`,
  ]
}

/** `Partition 2: ext4 "data", 40.0 GB` */
function describePartition({ number, fileSystem, type, name, sizeBytes }: Partition): string {
  const role = (type !== undefined && ROLES[type]) || name
  const content = fileSystem ? describeContent(fileSystem) : 'no known file system'
  return `Partition ${number}: ${content}, ${formatBytes(sizeBytes)}${role ? ` (${role})` : ''}`
}

function describeContent({ type, label }: FileSystem): string {
  return label === undefined ? type : `${type} "${label}"`
}

/** Partition types that say what a partition is for: UEFI 2.10 and Microsoft's list of PARTITION_*_GUID. */
const MICROSOFT_RESERVED = 'e3c9e316-0b5c-4db8-817d-f92df00215ae'
export const MICROSOFT_RECOVERY = 'de94bba4-06d1-4d40-a16a-bfd50179d6ac'
const APPLE_APFS = '7c3457ef-0000-11aa-aa11-00306543ecac'
const APPLE_HFS = '48465300-0000-11aa-aa11-00306543ecac'
const FREEBSD = /^516e7cb[0-9a-f]-6ecf-11d6-8ff8-00022d09712b$/
const VMWARE_VMFS = 'aa31e02a-400f-11db-9590-000c2911d1b8'

const ROLES: Record<string, string> = {
  [ESP_TYPE]: 'EFI system partition',
  [MBR_ESP_TYPE]: 'EFI system partition',
  [MICROSOFT_RESERVED]: 'Microsoft reserved',
  [MICROSOFT_RECOVERY]: 'Windows recovery',
}

const LINUX_FILE_SYSTEMS = /^(ext[234]|xfs|btrfs|f2fs|bcachefs|jfs|reiserfs|squashfs|erofs|swap)$/

/** An operating system, as far as types of partitions and file systems tell; never for sure. */
export function guessOperatingSystem(disk: Disk): string | undefined {
  const types = disk.partitions.flatMap(({ type }) => type?.toLowerCase() ?? [])
  // What fills a whole disk is data, or a member of something larger.
  const contents = disk.partitions.flatMap(({ fileSystem }) => fileSystem?.type ?? [])
  const found = [
    findWindows(types, contents),
    types.some((type) => type === APPLE_APFS || type === APPLE_HFS) || contents.includes('apfs')
      ? 'macOS'
      : undefined,
    types.some((type) => FREEBSD.test(type)) || contents.includes('ufs') ? 'FreeBSD' : undefined,
    types.includes(VMWARE_VMFS) || contents.some((type) => type.startsWith('VMFS'))
      ? 'VMware ESXi'
      : undefined,
    findLinux(contents),
  ].filter((name) => name !== undefined)
  return found.length === 0 ? undefined : found.join(' and ')
}

/** NTFS alone may be a disk of data; Windows' own partitions beside it are not. */
function findWindows(types: readonly string[], contents: readonly string[]): string | undefined {
  if (contents.includes('BitLocker')) return 'Windows (BitLocker)'
  const isMicrosofts =
    types.includes(MICROSOFT_RESERVED) ||
    types.includes(MICROSOFT_RECOVERY) ||
    types.includes('0x07')
  return isMicrosofts && contents.includes('ntfs') ? 'Windows' : undefined
}

function findLinux(contents: readonly string[]): string | undefined {
  const layers = [
    contents.includes('LVM2_member') && 'LVM',
    contents.includes('linux_raid_member') && 'RAID',
    contents.includes('crypto_LUKS') && 'encrypted',
  ].filter((layer) => layer !== false)
  if (layers.length > 0) return `Linux (${layers.join(', ')})`
  return contents.some((type) => LINUX_FILE_SYSTEMS.test(type)) ? 'Linux' : undefined
}
