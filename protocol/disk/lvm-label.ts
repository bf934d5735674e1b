import { continueCrc32 } from './crc32.ts'

/**
 * What LVM2 keeps at the head of a physical volume: its label, and where the text lies that describes the
 * volume group (lib/format_text/layout.h of lvm2). Positions count from the start of the volume.
 */

export class LvmDecodeError extends Error {
  override name = 'LvmDecodeError'
}

export interface LvmLabel {
  /** 32 characters; the text writes it with dashes in between. */
  id: string
  /** Places of the metadata areas. */
  areas: { start: number; sizeBytes: number }[]
}

/** Where a text lies in its area: the end of a ring goes on at its beginning. */
export interface LvmTextPlace {
  spans: { start: number; end: number }[]
  checksum: number
}

/** The label is in one of the first four sectors, of 512 bytes on every disk. */
export const LVM_LABEL_BYTES = 4 * 512
export const LVM_AREA_HEADER_BYTES = 512

const SECTOR_BYTES = 512
const INITIAL_CRC = 0xf597a6cf
const AREA_MAGIC = ' LVM2 x[5A%r0N*>'
/** This area has no text, by the operator's wish. */
const IGNORED = 1
/** A group of thousands of volumes has less. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024

/** Throws LvmDecodeError where none is, or its checksum is not right. */
export function decodeLvmLabel(bytes: Uint8Array): LvmLabel {
  for (
    let at = 0;
    at + SECTOR_BYTES <= Math.min(bytes.length, LVM_LABEL_BYTES);
    at += SECTOR_BYTES
  ) {
    const sector = bytes.subarray(at, at + SECTOR_BYTES)
    if (latin1(sector, 0, 8) !== 'LABELONE' || latin1(sector, 24, 32) !== 'LVM2 001') continue
    const told = viewOf(sector)
    if (told.getUint32(16, true) !== continueCrc32(sector.subarray(20), INITIAL_CRC))
      throw new LvmDecodeError('The checksum of its LVM label is wrong')
    return decodeHeader(sector, told.getUint32(20, true))
  }
  throw new LvmDecodeError('It has no LVM label')
}

/** Identity, size, then two lists: of the places of data, which the text tells, too, and of metadata. */
function decodeHeader(sector: Uint8Array, start: number): LvmLabel {
  const told = viewOf(sector)
  const lists: LvmLabel['areas'][] = [[], []]
  let at = start + 40
  for (const list of lists) {
    for (; ; at += 16) {
      if (at + 16 > sector.length)
        throw new LvmDecodeError('The lists of its LVM label have no end')
      const place = { start: number64(told, at), sizeBytes: number64(told, at + 8) }
      if (place.start === 0) break
      list.push(place)
    }
    at += 16
  }
  return { id: latin1(sector, start, start + 32), areas: lists[1]! }
}

/** Of the head of a metadata area; undefined if the area has no text. Throws LvmDecodeError. */
export function decodeLvmArea(
  head: Uint8Array,
  area: LvmLabel['areas'][number],
): LvmTextPlace | undefined {
  const sector = head.subarray(0, LVM_AREA_HEADER_BYTES)
  if (latin1(sector, 4, 20) !== AREA_MAGIC)
    throw new LvmDecodeError(`There is no LVM metadata at byte ${area.start}`)
  const told = viewOf(sector)
  if (told.getUint32(0, true) !== continueCrc32(sector.subarray(4), INITIAL_CRC))
    throw new LvmDecodeError('The checksum of its LVM metadata header is wrong')
  const offset = number64(told, 40)
  const sizeBytes = number64(told, 48)
  if (offset === 0 || (told.getUint32(60, true) & IGNORED) !== 0) return undefined
  if (offset >= area.sizeBytes || sizeBytes > Math.min(area.sizeBytes, MAX_TEXT_BYTES))
    throw new LvmDecodeError(`Its LVM metadata has ${sizeBytes} bytes at ${offset}`)
  const end = Math.min(offset + sizeBytes, area.sizeBytes)
  const spans = [{ start: area.start + offset, end: area.start + end }]
  const left = sizeBytes - (end - offset)
  const again = area.start + LVM_AREA_HEADER_BYTES
  if (left > 0) spans.push({ start: again, end: again + left })
  return { spans, checksum: told.getUint32(56, true) }
}

/** The text as it was read from its spans. Throws LvmDecodeError. */
export function decodeLvmText(bytes: Uint8Array, { checksum }: LvmTextPlace): string {
  if (continueCrc32(bytes, INITIAL_CRC) !== checksum)
    throw new LvmDecodeError('The checksum of its LVM metadata is wrong')
  const end = bytes.indexOf(0)
  return new TextDecoder().decode(end === -1 ? bytes : bytes.subarray(0, end))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end))
}

function number64(told: DataView, at: number): number {
  const value = Number(told.getBigUint64(at, true))
  if (!Number.isSafeInteger(value)) throw new LvmDecodeError(`Its LVM label tells of byte ${value}`)
  return value
}
