import { bindLvm } from '../system/volumes.ts'
import type { ByteSpan } from './extents.ts'
import { extentsOf, shift, subtract, union } from './extents.ts'
import type { LookContext, RegionUse, RegionView, Surveyor } from './region.ts'

const FIELDS = [
  'vg_name,vg_extent_size,pe_start,pvseg_start,pvseg_size',
  'segtype,lv_name,lv_size,lv_role,lv_layout,seg_start_pe',
].join(',')
const REPORT = ['--readonly', '--segments', '--reportformat', 'json', '--units', 'b', '--nosuffix']

/**
 * Asks LVM's own metadata which extents belong to which volume, and then each volume's file system.
 * Nothing is activated: a volume in one piece is looked at where it lies, others are read whole.
 */
export const surveyPhysicalVolume: Surveyor = async (context, view) => {
  const lvm = bindLvm(context.exec, [view.path])
  const text = await lvm('pvs', [...REPORT, '-o', FIELDS])
  const plan = parseSegments(text, view.sizeBytes)
  const all = extentsOf([{ start: 0, end: view.sizeBytes }])
  const use = { used: subtract(all, extentsOf(plan.free)) }
  const result: Noted = { leftOut: [], patches: [], copiedWhole: [] }
  for (const volume of plan.volumes) {
    const found = await surveyVolume(context, view, volume)
    if (found.kind === 'plain') continue
    if (found.kind === 'whole') {
      result.copiedWhole.push(`Volume ${volume.group}/${volume.name}: ${found.reason}`)
      continue
    }
    const { start, end } = volume.span!
    use.used = union(subtract(use.used, extentsOf([{ start, end }])), shift(found.used, start))
    for (const { what, bytes } of found.leftOut)
      result.leftOut.push({ what: `${what} of volume ${volume.group}/${volume.name}`, bytes })
    for (const patch of found.patches) result.patches.push({ ...patch, start: start + patch.start })
  }
  return { kind: 'used', ...use, ...result }
}

type Noted = Required<Omit<Extract<RegionUse, { kind: 'used' }>, 'kind' | 'used'>>

async function surveyVolume(
  context: LookContext,
  { region }: RegionView,
  { group, name, span, reason }: LogicalVolume,
): Promise<RegionUse> {
  if (!span) return { kind: 'whole', reason: reason! }
  return await context.survey({
    ...(region.partition !== undefined && { partition: region.partition }),
    volume: { group, name, segmentType: 'linear' },
    name: `Volume ${group}/${name}`,
    start: region.start + span.start,
    end: region.start + span.end,
  })
}

export interface LogicalVolume {
  group: string
  name: string
  /** Where it lies in the physical volume, if it is in one piece there. */
  span?: ByteSpan
  /** Why it can't be looked into, if not. */
  reason?: string
}

export interface PhysicalVolumePlan {
  free: ByteSpan[]
  volumes: LogicalVolume[]
}

interface Piece extends ByteSpan {
  /** Place in the logical volume. */
  at: number
}

type Row = Record<string, string>

/** `pvs --segments`, in bytes of the physical volume. */
export function parseSegments(text: string, sizeBytes: number): PhysicalVolumePlan {
  const { report } = JSON.parse(text) as { report: { pvseg?: Row[] }[] }
  const rows = report.flatMap(({ pvseg }) => pvseg ?? [])
  const free: ByteSpan[] = []
  const found = new Map<string, { row: Row; pieces: Piece[] }>()
  for (const row of rows) {
    const extentBytes = numberIn(row, 'vg_extent_size')
    const start = numberIn(row, 'pe_start') + numberIn(row, 'pvseg_start') * extentBytes
    const end = start + numberIn(row, 'pvseg_size') * extentBytes
    if (end > sizeBytes) throw new Error(`LVM lists extents up to byte ${end} of ${sizeBytes}`)
    // A physical volume that is in no group has one segment of no size.
    if (row['segtype'] === 'free') {
      if (end > start && row['vg_name']) free.push({ start, end })
      continue
    }
    const key = `${row['vg_name']}/${row['lv_name']}`
    const volume = found.get(key) ?? { row, pieces: [] }
    volume.pieces.push({ start, end, at: numberIn(row, 'seg_start_pe') * extentBytes })
    found.set(key, volume)
  }
  return { free, volumes: [...found.values()].map(({ row, pieces }) => volumeOf(row, pieces)) }
}

function volumeOf(row: Row, pieces: Piece[]): LogicalVolume {
  const name = { group: row['vg_name']!, name: row['lv_name']! }
  // A volume with snapshots has blocks that are free for it and in use for them.
  if (row['lv_layout'] !== 'linear' || row['lv_role'] !== 'public')
    return { ...name, reason: `it is no plain volume (${row['lv_layout']}, ${row['lv_role']})` }
  const [first, ...others] = pieces.toSorted((one, other) => one.at - other.at)
  const span = { start: first!.start, end: first!.end }
  for (const { start, end, at } of others) {
    if (start !== span.end || at !== span.end - span.start)
      return { ...name, reason: `it lies in ${pieces.length} pieces` }
    span.end = end
  }
  if (span.end - span.start !== numberIn(row, 'lv_size'))
    return { ...name, reason: 'parts of it are on another physical volume' }
  return { ...name, span }
}

function numberIn(row: Row, field: string): number {
  const value = Number(row[field])
  if (!Number.isSafeInteger(value)) throw new Error(`LVM tells no ${field}`)
  return value
}
