import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { MBR_BYTES, parsePartitionTable } from '#protocol/disk/partition-table.ts'
import type { Device } from '../disk/device.ts'
import type { Exec } from '../exec.ts'
import { findContent, type Content } from '../system/probe.ts'
import { findDoubt, findTableFault, hybridSpans } from './doubts.ts'
import { edgesOf } from './edges.ts'
import { NONE, extentsOf, shift, subtract, union, type Extents } from './extents.ts'
import { surveyBtrfs } from './file-systems/btrfs.ts'
import { surveyExt } from './file-systems/ext.ts'
import { surveyFat } from './file-systems/fat.ts'
import { surveyNtfs } from './file-systems/ntfs.ts'
import { surveySwap } from './file-systems/swap.ts'
import { surveyXfs } from './file-systems/xfs.ts'
import { reasonOf } from './reason.ts'
import type { Patch, Region, RegionUse, RegionView, Surveyor } from './region.ts'
import { regionsOf } from './regions.ts'
import { openView, peek } from './view.ts'
import { surveyGroups } from './volume-groups.ts'

/** By what blkid calls it; everything else is copied whole. */
const SURVEYORS: Record<string, Surveyor> = {
  ext2: surveyExt,
  ext3: surveyExt,
  ext4: surveyExt,
  xfs: surveyXfs,
  btrfs: surveyBtrfs,
  ntfs: surveyNtfs,
  vfat: surveyFat,
  swap: surveySwap,
  swsuspend: surveySwap,
}

/** A physical volume of LVM: what is in it is asked of all of them together. */
const LVM_MEMBER = 'LVM2_member'

/** At once, with what alignment adds. */
const PEEK_BYTES = 512 * 1024

/** For people; what is not listed is called as blkid calls it. */
const NAMES: Record<string, string> = {
  crypto_LUKS: 'an encrypted volume (LUKS)',
  BitLocker: 'an encrypted volume (BitLocker)',
  linux_raid_member: 'a member of a RAID',
}

/** What a capture reads of a disk, and what is to be said of it. Positions count from the disk's start. */
export interface Survey {
  used: Extents
  /** Zeros in the image where nothing is used: what another system left there on the target must not stay. */
  cleared: Extents
  patches: Patch[]
  copiedWhole: NonNullable<ImageInfo['copiedWhole']>
  leftOut: NonNullable<ImageInfo['leftOut']>
  /** Everything with a known content, whatever is read of it. */
  contents: FoundContent[]
}

export interface FoundContent {
  region: Region
  content: Content
}

export interface SurveyOptions {
  device: Device
  disk: Disk
  exec: Exec
  signal: AbortSignal
  /** Everything is to be read: nobody is asked what is in use. */
  whole?: boolean
}

/**
 * Asks each file system of the disk which blocks it uses. What is outside of all partitions is
 * read: boot loaders lie there. Nothing is mounted, activated or written.
 */
export async function surveyDisk(options: SurveyOptions): Promise<Survey> {
  const { device, disk } = options
  const used = extentsOf([{ start: 0, end: device.sizeBytes }])
  const survey: Survey = {
    used,
    cleared: NONE,
    patches: [],
    copiedWhole: [],
    leftOut: [],
    contents: [],
  }
  const doubt = options.whole ? undefined : await findDoubt(options)
  if (doubt !== undefined) survey.copiedWhole.push({ reason: `The disk: ${doubt}` })
  const looking = { ...options, whole: options.whole || doubt !== undefined }
  const regions = regionsOf(disk, device.sizeBytes, await hybridSpans(options))
  const isBare = regions.length === 0 && !options.whole
  const fault = isBare ? await findTableFault(options) : undefined
  if (fault !== undefined) survey.copiedWhole.push({ reason: `The disk: ${fault}` })
  for (const region of regions) {
    const use = await surveyRegion(looking, region, survey.contents)
    note(survey, region, use)
  }
  if (!looking.whole) await surveyVolumes(options, survey)
  return survey
}

/** A volume may lie on several partitions. */
async function surveyVolumes(options: SurveyOptions, survey: Survey): Promise<void> {
  const { device, signal } = options
  const regions = survey.contents
    .filter(({ region, content }) => content.type === LVM_MEMBER && !region.volume)
    .map(({ region }) => region)
  const read = async (start: number, length: number) => {
    const parts: Buffer[] = []
    for (let at = 0; at < length; at += PEEK_BYTES)
      parts.push(await peek(device, start + at, Math.min(PEEK_BYTES, length - at)))
    return Buffer.concat(parts)
  }
  const inside = (region: Region) => surveyRegion(options, region, survey.contents)
  try {
    const use = await surveyGroups({ read, survey: inside, signal }, regions)
    survey.used = subtract(survey.used, use.free)
    survey.cleared = union(survey.cleared, use.cleared)
    survey.patches.push(...use.patches)
    survey.leftOut.push(...use.leftOut)
    survey.copiedWhole.push(...use.copiedWhole)
  } catch (err) {
    signal.throwIfAborted()
    for (const region of regions) note(survey, region, { kind: 'whole', reason: reasonOf(err) })
  }
}

function note(survey: Survey, { start, end, partition, name }: Region, use: RegionUse): void {
  const where = partition === undefined ? {} : { partition }
  if (use.kind === 'plain') return
  if (use.kind === 'whole') {
    survey.copiedWhole.push({ ...where, reason: `${name}: ${use.reason}` })
    return
  }
  const { used, patches, leftOut, copiedWhole = [] } = use
  survey.used = union(subtract(survey.used, extentsOf([{ start, end }])), shift(used, start))
  survey.cleared = union(survey.cleared, edgesOf({ start, end }))
  survey.leftOut.push(...leftOut.map((left) => ({ ...where, ...left })))
  survey.copiedWhole.push(...copiedWhole.map((reason) => ({ ...where, reason })))
  for (const patch of patches) survey.patches.push({ ...patch, start: start + patch.start })
}

async function surveyRegion(
  options: SurveyOptions,
  region: Region,
  contents: FoundContent[],
): Promise<RegionUse> {
  const { device, disk, exec, signal } = options
  if (region.overlaps) return { kind: 'whole', reason: `it overlaps ${region.overlaps}` }
  if (region.isManaged)
    return { kind: 'whole', reason: 'it holds parts of volumes (Logical Disk Manager)' }
  try {
    await using view = await openView(exec, { device, sectorBytes: disk.sectorBytes, region })
    const content = await findContent(exec, view.path)
    if (content?.tableType !== undefined && isWholeDisk(region) && !isExfat(content))
      // Left from before there were partitions: the kernel may find those by the backup table.
      return {
        kind: 'whole',
        reason: `a damaged partition table and "${content.type}" are both on it`,
      }
    if (content?.tableType !== undefined && (await hasOwnTable(view, content.tableType)))
      // It was given to a virtual machine as its disk, say, and the file system is left from before.
      return {
        kind: 'whole',
        reason: `a partition table of its own and "${content.type}" are both in it`,
      }
    if (content) contents.push({ region, content })
    return await surveyContent(options, view, content)
  } catch (err) {
    signal.throwIfAborted()
    return { kind: 'whole', reason: reasonOf(err) }
  }
}

/** An empty table is what a boot loader at the start of a file system has. Other machines have other tables (`mac`, `sun`). */
async function hasOwnTable(view: RegionView, tableType: string): Promise<boolean> {
  if (tableType !== 'dos') return true
  return parsePartitionTable(await view.peek(0, MBR_BYTES)).partitions.length > 0
}

/** Its boot sector ends as an MBR does, and blkid takes it for one without partitions. */
function isExfat({ type, tableType }: Content): boolean {
  return type === 'exfat' && tableType === 'dos'
}

function isWholeDisk({ partition, volume }: Region): boolean {
  return partition === undefined && volume === undefined
}

async function surveyContent(
  options: SurveyOptions,
  view: RegionView,
  content: Content | undefined,
): Promise<RegionUse> {
  if (options.whole) return { kind: 'plain' }
  if (!content)
    return view.region.isRaw
      ? { kind: 'plain' }
      : { kind: 'whole', reason: 'no known file system is there' }
  if (content.type === LVM_MEMBER)
    return view.region.volume
      ? { kind: 'whole', reason: 'it is a physical volume inside of another volume' }
      : { kind: 'plain' }
  const surveyor = SURVEYORS[content.type]
  if (!surveyor) return { kind: 'whole', reason: `it is ${nameOf(content)}` }
  const { exec, signal } = options
  return await surveyor({ exec, signal }, view, content)
}

function nameOf({ type }: Content): string {
  return NAMES[type] ?? `of type "${type}", which is not looked into`
}
