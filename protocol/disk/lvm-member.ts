import { parseLvmGroup, type LvmGroup } from './lvm-group.ts'
import {
  LVM_AREA_HEADER_BYTES,
  LVM_LABEL_BYTES,
  LvmDecodeError,
  decodeLvmArea,
  decodeLvmLabel,
  decodeLvmText,
} from './lvm-label.ts'

/** A physical volume, and what it says of its group, if it keeps a text of that. */
export interface LvmMember {
  id: string
  group?: LvmGroup
}

/**
 * By the label, then by the texts of all its areas, which are to be alike. `read`: bytes `[start, end)` of the volume, which has
 * `sizeBytes`. Throws LvmDecodeError, and whatever `read` does.
 */
export async function readLvmMember(
  read: (start: number, end: number) => Promise<Uint8Array>,
  sizeBytes: number,
): Promise<LvmMember> {
  const label = decodeLvmLabel(await read(0, Math.min(LVM_LABEL_BYTES, sizeBytes)))
  let group: LvmGroup | undefined
  for (const area of label.areas) {
    if (area.start + area.sizeBytes > sizeBytes)
      throw new LvmDecodeError(
        `Its LVM metadata ends behind it, at byte ${area.start + area.sizeBytes}`,
      )
    const head = await read(area.start, area.start + LVM_AREA_HEADER_BYTES)
    const place = decodeLvmArea(head, area)
    if (!place) continue
    const parts = []
    for (const { start, end } of place.spans) parts.push(await read(start, end))
    const found = parseLvmGroup(decodeLvmText(Buffer.concat(parts), place))
    // One area is written after the other: a change was cut off in between.
    if (group && (group.id !== found.id || group.sequence !== found.sequence))
      throw new LvmDecodeError(`Its LVM metadata is described in two ways: group ${found.name}`)
    group = found
  }
  return { id: label.id, ...(group && { group }) }
}
