import type { LvmGroup } from '#protocol/disk/lvm-group.ts'
import { LvmDecodeError } from '#protocol/disk/lvm-label.ts'
import type { LayoutSegment } from '#protocol/disk/lvm-layout.ts'
import { readLvmMember, type LvmMember } from '#protocol/disk/lvm-member.ts'
import type { DiskContent } from '../export/disk-content.ts'
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
    const member = await findMember(disk, candidate)
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
async function findMember(
  disk: DiskContent,
  { startBytes, sizeBytes }: Candidate,
): Promise<LvmMember | undefined> {
  const read = (start: number, end: number) =>
    readSpan(disk, { startBytes: startBytes + start, sizeBytes: end - start })
  try {
    return await readLvmMember(read, sizeBytes)
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
