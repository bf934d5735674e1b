import { parseLvmGroup, type LvmGroup } from '#protocol/lvm-group.ts'
import {
  LVM_AREA_HEADER_BYTES,
  LVM_LABEL_BYTES,
  LvmDecodeError,
  decodeLvmArea,
  decodeLvmLabel,
  decodeLvmText,
} from '#protocol/lvm-label.ts'
import type { LayoutSegment } from '#protocol/lvm-layout.ts'
import type { DiskContent } from '../disk-content.ts'
import { readSpan } from './partition-spool.ts'

interface Candidate {
  number: number
  startBytes: number
  sizeBytes: number
}

export interface FoundVolume {
  /** `group/name`. */
  name: string
  /** In bytes of the disk. */
  layout?: LayoutSegment[]
  reason?: string
}

/** The logical volumes of a disk, by the first of the partitions that their group is on. */
export async function readVolumes(
  disk: DiskContent,
  candidates: readonly Candidate[],
): Promise<{ home: number; volumes: FoundVolume[] }[]> {
  const starts = new Map<string, number>()
  const groups = new Map<string, { home: number; group: LvmGroup }>()
  for (const candidate of candidates) {
    const member = await readMember(disk, candidate)
    if (!member) continue
    starts.set(member.id, candidate.startBytes)
    const { group } = member
    const known = group && groups.get(group.id)
    if (group && (!known || known.group.sequence < group.sequence))
      groups.set(group.id, { home: known?.home ?? candidate.number, group })
  }
  return [...groups.values()].map(({ home, group }) => ({
    home,
    volumes: group.volumes.map(({ name, segments, reason }) => {
      const layout = segments && layoutOf(disk, segments, starts)
      const full = `${group.name}/${name}`
      if (layout) return { name: full, layout }
      return { name: full, reason: reason ?? 'parts of it are on another disk' }
    }),
  }))
}

/** Undefined where none is, or it is damaged: then there is nothing to look into. */
async function readMember(
  disk: DiskContent,
  { startBytes, sizeBytes }: Candidate,
): Promise<{ id: string; group?: LvmGroup } | undefined> {
  const read = (start: number, end: number) =>
    readSpan(disk, { startBytes: startBytes + start, sizeBytes: end - start })
  try {
    const label = decodeLvmLabel(await read(0, Math.min(LVM_LABEL_BYTES, sizeBytes)))
    for (const area of label.areas) {
      if (area.start + area.sizeBytes > sizeBytes) return undefined
      const head = await read(area.start, area.start + LVM_AREA_HEADER_BYTES)
      const place = decodeLvmArea(head, area)
      if (!place) continue
      const parts = []
      for (const { start, end } of place.spans) parts.push(await read(start, end))
      return { id: label.id, group: parseLvmGroup(decodeLvmText(Buffer.concat(parts), place)) }
    }
    return { id: label.id }
  } catch (err) {
    if (err instanceof LvmDecodeError || err instanceof RangeError) return undefined
    throw err
  }
}

function layoutOf(
  disk: DiskContent,
  segments: NonNullable<LvmGroup['volumes'][number]['segments']>,
  starts: ReadonlyMap<string, number>,
): LayoutSegment[] | undefined {
  const layout: LayoutSegment[] = []
  for (const { areas, ...segment } of segments) {
    const placed = areas.flatMap(({ physicalVolume, start }) => {
      const base = starts.get(physicalVolume)
      const end = (base ?? 0) + start + segment.sizeBytes / areas.length
      return base === undefined || end > disk.sizeBytes ? [] : [base + start]
    })
    if (placed.length !== areas.length) return undefined
    layout.push({ ...segment, areas: placed })
  }
  return layout
}
