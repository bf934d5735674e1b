import type { LvmGroup, LvmVolume } from '#protocol/disk/lvm-group.ts'
import { areaSpans, placesOf, type LayoutSegment } from '#protocol/disk/lvm-layout.ts'
import { readLvmMember, type LvmMember } from '#protocol/disk/lvm-member.ts'
import { edgesOf } from './edges.ts'
import {
  NONE,
  createExtentsBuilder,
  extentsOf,
  subtract,
  union,
  type ByteSpan,
  type Extents,
} from './extents.ts'
import { reasonOf } from './reason.ts'
import type { Patch, Region, RegionUse } from './region.ts'

/** What is known of LVM's part of a disk; positions count from the disk's start. */
export interface GroupsUse {
  /** In no volume, or not used by what is in one. */
  free: Extents
  /** Zeros in the image as far as it is free. */
  cleared: Extents
  patches: Patch[]
  leftOut: { partition?: number; what: string; bytes: number }[]
  copiedWhole: { partition?: number; reason: string }[]
}

export interface GroupsContext {
  /** Bytes of the disk. */
  read: (start: number, length: number) => Promise<Buffer>
  /** What the file system of a volume uses. */
  survey(region: Region): Promise<RegionUse>
  signal: AbortSignal
}

interface Member extends LvmMember {
  region: Region
}

/**
 * Reads LVM's own metadata, which says which extents belong to which volume, and then asks each volume's
 * file system. Nothing is activated, and no other disk is asked: a linear or striped volume is looked at
 * where it lies, in however many pieces; others, and those that go on on another disk, are read whole.
 */
export async function surveyGroups(
  context: GroupsContext,
  regions: readonly Region[],
): Promise<GroupsUse> {
  const result: GroupsUse = {
    free: NONE,
    cleared: NONE,
    patches: [],
    leftOut: [],
    copiedWhole: [],
  }
  const members: Member[] = []
  for (const region of regions) {
    try {
      const read = (start: number, end: number) => context.read(region.start + start, end - start)
      members.push({ region, ...(await readLvmMember(read, region.end - region.start)) })
    } catch (err) {
      context.signal.throwIfAborted()
      noteWhole(result, region, `${region.name}: ${reasonOf(err)}`)
    }
  }
  const areAllRead = members.length === regions.length
  for (const copies of groupsOf(members)) {
    const group = copies[0]!
    const present = members.filter(({ id }) => group.physicalVolumes.some((each) => each.id === id))
    const doubt = findDoubt(copies, present, areAllRead)
    if (doubt === undefined) await surveyGroup(context, { group, members: present }, result)
    else for (const { region } of present) noteWhole(result, region, `${region.name}: ${doubt}`)
  }
  return result
}

/** Why what is said of a group may not hold, as the end of a sentence. */
function findDoubt(
  copies: readonly LvmGroup[],
  present: readonly Member[],
  areAllRead: boolean,
): string | undefined {
  const { name, sequence, physicalVolumes } = copies[0]!
  if (!areAllRead && present.length < physicalVolumes.length)
    return `what another part of group ${name} says is not known`
  // A change was cut off, or a part comes from an older clone.
  if (copies.some((copy) => copy.sequence !== sequence) || !areDistinct(present))
    return `group ${name} is described in two ways`
  return undefined
}

/** What the members say of each group. */
function groupsOf(members: readonly Member[]): LvmGroup[][] {
  const groups = new Map<string, LvmGroup[]>()
  for (const { group } of members)
    if (group) groups.set(group.id, [...(groups.get(group.id) ?? []), group])
  return [...groups.values()]
}

function areDistinct(members: readonly Member[]): boolean {
  return new Set(members.map(({ id }) => id)).size === members.length
}

async function surveyGroup(
  context: GroupsContext,
  { group, members }: { group: LvmGroup; members: readonly Member[] },
  result: GroupsUse,
): Promise<void> {
  const regionById = new Map(members.map(({ id, region }) => [id, region]))
  for (const { id, startBytes, endBytes, taken } of group.physicalVolumes) {
    const region = regionById.get(id)
    if (!region) continue
    if (region.start + endBytes > region.end)
      throw new RangeError(`LVM lists extents up to byte ${endBytes} of ${region.name}`)
    const free = subtract(extentsOf([{ start: startBytes, end: endBytes }]), extentsOf(taken))
    result.free = union(
      result.free,
      free.map((edge) => edge + region.start),
    )
    result.cleared = union(result.cleared, edgesOf(region))
  }
  for (const volume of group.volumes) {
    const found = placeVolume(volume, regionById)
    if (found.home) await surveyVolume(context, group, { ...found, name: volume.name }, result)
  }
}

interface PlacedVolume {
  /** Where its beginning, or else any part of the group, is. */
  home?: Region
  layout?: LayoutSegment[]
  reason?: string
}

function placeVolume({ segments, reason }: LvmVolume, regions: Map<string, Region>): PlacedVolume {
  const [anywhere] = regions.values()
  if (!segments) return { ...(anywhere && { home: anywhere }), reason: reason ?? 'it is not known' }
  const used = segments.flatMap(({ areas }) =>
    areas.map((area) => regions.get(area.physicalVolume)),
  )
  const home = used.find((region) => region !== undefined)
  // All of it lies on other disks, and none of it is ours to read.
  if (!home) return {}
  if (used.includes(undefined)) return { home, reason: 'parts of it are on another disk' }
  return { home, layout: segments.map((segment) => layoutOf(segment, regions)) }
}

function layoutOf(
  { areas, ...segment }: NonNullable<LvmVolume['segments']>[number],
  regions: Map<string, Region>,
): LayoutSegment {
  const starts = areas.map(
    ({ physicalVolume, start }) => regions.get(physicalVolume)!.start + start,
  )
  return { ...segment, areas: starts }
}

async function surveyVolume(
  context: GroupsContext,
  group: LvmGroup,
  { home, layout, reason, name }: PlacedVolume & { name: string },
  result: GroupsUse,
): Promise<void> {
  const fullName = `${group.name}/${name}`
  const where = home!
  if (!layout) return noteWhole(result, where, `Volume ${fullName}: ${reason}`)
  const region: Region = {
    ...(where.partition !== undefined && { partition: where.partition }),
    volume: {
      group: group.name,
      name,
      segmentType: layout[0]!.areas.length > 1 ? 'striped' : 'linear',
    },
    name: `Volume ${fullName}`,
    ...placeOf(layout),
  }
  const use = await context.survey(region)
  if (use.kind === 'plain') return
  if (use.kind === 'whole') return noteWhole(result, where, `Volume ${fullName}: ${use.reason}`)
  const sizeBytes = region.end - region.start
  const free = subtract(extentsOf([{ start: 0, end: sizeBytes }]), use.used)
  result.free = union(result.free, mapExtents(layout, free))
  const edges = edgesOf({ start: 0, end: sizeBytes })
  result.cleared = union(result.cleared, mapExtents(layout, edges))
  for (const { what, bytes } of use.leftOut)
    result.leftOut.push({ ...partitionOf(where), what: `${what} of volume ${fullName}`, bytes })
  for (const { start, bytes } of use.patches)
    for (const place of placesOf(layout, start, start + bytes.length)) {
      const part = bytes.subarray(place.at - start, place.at - start + place.end - place.start)
      result.patches.push({ start: place.start, bytes: part })
    }
}

/** One piece is a range of the disk. */
function placeOf(
  layout: readonly LayoutSegment[],
): ByteSpan & { layout?: readonly LayoutSegment[] } {
  const [first, ...others] = layout
  const span = { start: first!.areas[0]!, end: first!.areas[0]! + first!.sizeBytes }
  const end = layout.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  for (const { areas, sizeBytes } of others) {
    if (areas[0] !== span.end) return { start: 0, end, layout }
    span.end += sizeBytes
  }
  return layout.every(({ areas }) => areas.length === 1) ? span : { start: 0, end, layout }
}

/** Where parts of a volume lie on the disk. */
function mapExtents(layout: readonly LayoutSegment[], extents: Extents): Extents {
  let all = extentsOf([])
  for (const segment of layout) {
    const builders = segment.areas.map(() => createExtentsBuilder())
    for (let at = 0; at < extents.length; at += 2)
      for (const { area, start, end } of areaSpans(segment, extents[at]!, extents[at + 1]!))
        builders[area]!.add(start, end)
    for (const builder of builders) all = union(all, builder.build())
  }
  return all
}

function noteWhole(result: GroupsUse, region: Region, reason: string): void {
  result.copiedWhole.push({ ...partitionOf(region), reason })
}

function partitionOf({ partition }: Region): { partition?: number } {
  return partition === undefined ? {} : { partition }
}
