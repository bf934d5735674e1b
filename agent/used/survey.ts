import type { ImageInfo } from '#protocol/image-info.ts'
import type { Disk } from '#protocol/inventory.ts'
import type { Device } from '../disk/device.ts'
import { ExecError, type Exec } from '../exec.ts'
import { findContent, type Content } from '../system/probe.ts'
import { coarsen, extentsOf, shift, subtract, union, type Extents } from './extents.ts'
import { surveyBtrfs } from './file-systems/btrfs.ts'
import { surveyExt } from './file-systems/ext.ts'
import { surveyFat } from './file-systems/fat.ts'
import { surveyNtfs } from './file-systems/ntfs.ts'
import { surveySwap } from './file-systems/swap.ts'
import { surveyXfs } from './file-systems/xfs.ts'
import type { Patch, Region, RegionUse, Surveyor } from './region.ts'
import { regionsOf } from './regions.ts'
import { openView, type OpenView } from './view.ts'

/** 64 MB; a file system in more pieces is read with some of its free space. */
const MAX_SPANS = 4_000_000

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

/** For people; what is not listed is called as blkid calls it. */
const NAMES: Record<string, string> = {
  crypto_LUKS: 'an encrypted volume (LUKS)',
  BitLocker: 'an encrypted volume (BitLocker)',
  linux_raid_member: 'a member of a RAID',
}

/** What a capture reads of a disk, and what is to be said of it. Positions count from the disk's start. */
export interface Survey {
  used: Extents
  patches: Patch[]
  copiedWhole: NonNullable<ImageInfo['copiedWhole']>
  leftOut: NonNullable<ImageInfo['leftOut']>
}

export interface SurveyOptions {
  device: Device
  disk: Disk
  exec: Exec
  signal: AbortSignal
}

/** A capture of everything. */
export function wholeDisk({ sizeBytes }: Pick<Device, 'sizeBytes'>): Survey {
  return {
    used: extentsOf([{ start: 0, end: sizeBytes }]),
    patches: [],
    copiedWhole: [],
    leftOut: [],
  }
}

/**
 * Asks each file system of the disk which blocks it uses. What is outside of all partitions is
 * read: boot loaders lie there. Nothing is mounted, activated or written.
 */
export async function surveyDisk(options: SurveyOptions): Promise<Survey> {
  const { device, disk, signal } = options
  const survey = wholeDisk(device)
  for (const region of regionsOf(disk, device.sizeBytes)) {
    const use = await surveyRegion(options, region)
    signal.throwIfAborted()
    note(survey, region, use)
  }
  survey.used = coarsen(survey.used, MAX_SPANS)
  return survey
}

function note(survey: Survey, { start, end, partition, name }: Region, use: RegionUse): void {
  const where = partition === undefined ? {} : { partition }
  if (use.kind === 'plain') return
  if (use.kind === 'whole') {
    survey.copiedWhole.push({ ...where, reason: `${name}: ${use.reason}` })
    return
  }
  const inside = shift(use.used, start)
  survey.used = union(subtract(survey.used, extentsOf([{ start, end }])), inside)
  survey.leftOut.push(...use.leftOut.map((left) => ({ ...where, ...left })))
  for (const patch of use.patches) survey.patches.push({ ...patch, start: start + patch.start })
}

async function surveyRegion(options: SurveyOptions, region: Region): Promise<RegionUse> {
  const { device, disk, exec, signal } = options
  if (region.overlaps) return { kind: 'whole', reason: 'it overlaps another partition' }
  try {
    await using view = await openView(exec, {
      device,
      sectorBytes: disk.sectorBytes,
      span: region,
    })
    return await surveyView({ exec, signal }, view, region)
  } catch (err) {
    signal.throwIfAborted()
    return { kind: 'whole', reason: firstLine(err) }
  }
}

async function surveyView(
  context: { exec: Exec; signal: AbortSignal },
  view: OpenView,
  region: Region,
): Promise<RegionUse> {
  const content = await findContent(context.exec, view.path)
  if (!content)
    return region.isRaw
      ? { kind: 'plain' }
      : { kind: 'whole', reason: 'no known file system is there' }
  const surveyor = SURVEYORS[content.type]
  if (!surveyor) return { kind: 'whole', reason: `it is ${nameOf(content)}` }
  return await surveyor(context, view, content)
}

function nameOf({ type }: Content): string {
  return NAMES[type] ?? `of type "${type}", which is not looked into`
}

function firstLine(err: unknown): string {
  const text = err instanceof ExecError ? err.message : String((err as Error)?.message ?? err)
  return text.split('\n')[0]!
}
