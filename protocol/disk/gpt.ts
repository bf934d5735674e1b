import { crc32 } from './crc32.ts'
import { encodeHex } from '../hex.ts'

/** GUID partition tables, UEFI specification 2.10 chapter 5, as far as imaging needs them. */

export type GptPartition = {
  /** As the kernel counts them: `sda2` is 2, whatever lies before it. */
  number: number
  startBytes: number
  sizeBytes: number
  /** Type GUID in lower case, as sgdisk and blkid print it. */
  type: string
  uuid: string
  name: string
}

export type Gpt = {
  sectorBytes: number
  diskUuid: string
  /** Where the backup header lies, or will lie. */
  alternateLba: number
  firstUsableLba: number
  lastUsableLba: number
  partitions: GptPartition[]
  /** The header as read, `headerSize` bytes of it. */
  header: Uint8Array
  /** The whole partition entry array as read. */
  entries: Uint8Array
  entriesLba: number
}

export class GptDecodeError extends Error {
  override name = 'GptDecodeError'
}

const SIGNATURE = 'EFI PART'
const MIN_HEADER_BYTES = 92
const MIN_ENTRY_BYTES = 128
/** 128 entries are usual; the array must also fit in what we are given. */
const MAX_ENTRIES = 4096
const UNUSED_TYPE = '00000000-0000-0000-0000-000000000000'
const SECTOR_SIZES = [512, 4096] as const

/** Offsets in the header, table 5-5. */
const AT = {
  headerSize: 12,
  headerCrc: 16,
  myLba: 24,
  alternateLba: 32,
  firstUsableLba: 40,
  lastUsableLba: 48,
  diskUuid: 56,
  entriesLba: 72,
  entryCount: 80,
  entryBytes: 84,
  entriesCrc: 88,
} as const

/** Whether a GPT header, sound or not, follows the first sector. */
export function hasGptSignature(head: Uint8Array, sectorBytes: number): boolean {
  const found = head.subarray(sectorBytes, sectorBytes + SIGNATURE.length)
  return new TextDecoder('latin1').decode(found) === SIGNATURE
}

/** Sector size of a disk by the place of its GPT header; undefined if it has none. */
export function detectSectorBytes(head: Uint8Array): 512 | 4096 | undefined {
  const candidates = SECTOR_SIZES.filter((size) => hasGptSignature(head, size))
  // A disk that was used with both sizes may keep a stale signature: the sound header wins.
  return candidates.find((size) => isSound(head, size)) ?? candidates[0]
}

function isSound(head: Uint8Array, sectorBytes: number): boolean {
  try {
    decodeGpt(head, sectorBytes)
    return true
  } catch (err) {
    if (err instanceof GptDecodeError) return false
    throw err
  }
}

/**
 * The primary GPT out of the first bytes of a disk (1 MiB is plenty). Throws GptDecodeError if it
 * is missing, damaged, or its entries lie beyond `head`.
 */
export function decodeGpt(bytes: Uint8Array, sectorBytes: number): Gpt {
  const head = plainBytes(bytes)
  if (!hasGptSignature(head, sectorBytes)) throw new GptDecodeError('No GPT header in sector 1')
  const header = checkedHeader(head, sectorBytes)
  const view = viewOf(header)
  if (readLba(view, AT.myLba) !== 1)
    throw new GptDecodeError(`The GPT header in sector 1 says that it is in another sector`)
  const entriesLba = readLba(view, AT.entriesLba)
  const entries = checkedEntries(head, view, entriesLba * sectorBytes)
  return {
    sectorBytes,
    diskUuid: decodeGuid(header.subarray(AT.diskUuid, AT.diskUuid + 16)),
    alternateLba: readLba(view, AT.alternateLba),
    firstUsableLba: readLba(view, AT.firstUsableLba),
    lastUsableLba: readLba(view, AT.lastUsableLba),
    partitions: decodeEntries(entries, view.getUint32(AT.entryBytes, true), sectorBytes),
    header,
    entries,
    entriesLba,
  }
}

function checkedHeader(head: Uint8Array, sectorBytes: number): Uint8Array {
  if (head.length < sectorBytes * 2) throw new GptDecodeError('The GPT header is cut short')
  const sector = head.slice(sectorBytes, sectorBytes * 2)
  const headerBytes = viewOf(sector).getUint32(AT.headerSize, true)
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > sectorBytes)
    throw new GptDecodeError(`A GPT header cannot be ${headerBytes} bytes long`)
  const header = sector.subarray(0, headerBytes)
  if (headerCrc(header) !== viewOf(header).getUint32(AT.headerCrc, true))
    throw new GptDecodeError('The checksum of the GPT header is wrong')
  return header
}

/** The header's own checksum counts as zero, UEFI 5.3.2. */
function headerCrc(header: Uint8Array): number {
  const copy = header.slice()
  viewOf(copy).setUint32(AT.headerCrc, 0, true)
  return crc32(copy)
}

function checkedEntries(head: Uint8Array, header: DataView, startBytes: number): Uint8Array {
  const count = header.getUint32(AT.entryCount, true)
  const entryBytes = header.getUint32(AT.entryBytes, true)
  if (count > MAX_ENTRIES || entryBytes < MIN_ENTRY_BYTES || entryBytes % 8 !== 0)
    throw new GptDecodeError(`A GPT cannot have ${count} entries of ${entryBytes} bytes`)
  const end = startBytes + count * entryBytes
  if (end > head.length) throw new GptDecodeError('The GPT entries lie beyond the bytes given')
  const entries = head.slice(startBytes, end)
  if (crc32(entries) !== header.getUint32(AT.entriesCrc, true))
    throw new GptDecodeError('The checksum of the GPT entries is wrong')
  return entries
}

function decodeEntries(
  entries: Uint8Array,
  entryBytes: number,
  sectorBytes: number,
): GptPartition[] {
  const partitions: GptPartition[] = []
  for (let offset = 0; offset < entries.length; offset += entryBytes) {
    const entry = entries.subarray(offset, offset + entryBytes)
    const type = decodeGuid(entry.subarray(0, 16))
    if (type === UNUSED_TYPE) continue
    const view = viewOf(entry)
    const firstLba = readLba(view, 32)
    const lastLba = readLba(view, 40)
    const number = offset / entryBytes + 1
    if (lastLba < firstLba)
      throw new GptDecodeError(`GPT partition ${number} ends before it starts`)
    partitions.push({
      number,
      startBytes: firstLba * sectorBytes,
      sizeBytes: (lastLba - firstLba + 1) * sectorBytes,
      type,
      uuid: decodeGuid(entry.subarray(16, 32)),
      name: new TextDecoder('utf-16le').decode(entry.subarray(56, 128)).replace(/\0.*$/s, ''),
    })
  }
  return partitions
}

/** Bytes to be written at an offset of the disk. */
export type DiskWrite = { offsetBytes: number; bytes: Uint8Array }

/**
 * The GPT of an image made to fit a disk of `diskBytes`: entries and header of the backup, which
 * belong at the very end (in this order, one write), and the sector of the primary header that
 * points there. Partitions stay as they are. Throws RangeError if a partition does not fit.
 */
export function fitGpt(gpt: Gpt, diskBytes: number): { backup: DiskWrite; primary: DiskWrite } {
  const { sectorBytes } = gpt
  const lastLba = Math.floor(diskBytes / sectorBytes) - 1
  const entrySectors = Math.ceil(gpt.entries.length / sectorBytes)
  const backupEntriesLba = lastLba - entrySectors
  const lastUsableLba = backupEntriesLba - 1
  const needBytes = Math.max(0, ...gpt.partitions.map((p) => p.startBytes + p.sizeBytes))
  if (needBytes > (lastUsableLba + 1) * sectorBytes)
    throw new RangeError(
      `The last partition ends at byte ${needBytes}, too close to the end of a disk of ` +
        `${diskBytes} bytes for a backup GPT; choose a larger disk`,
    )

  const backup = new Uint8Array((entrySectors + 1) * sectorBytes)
  backup.set(gpt.entries)
  backup.set(
    headerAt(gpt, { myLba: lastLba, alternateLba: 1, entriesLba: backupEntriesLba, lastUsableLba }),
    entrySectors * sectorBytes,
  )
  const primary = new Uint8Array(sectorBytes)
  primary.set(
    headerAt(gpt, { myLba: 1, alternateLba: lastLba, entriesLba: gpt.entriesLba, lastUsableLba }),
  )
  return {
    backup: { offsetBytes: backupEntriesLba * sectorBytes, bytes: backup },
    primary: { offsetBytes: sectorBytes, bytes: primary },
  }
}

/** What a disk must have behind its last partition. */
export function backupGptBytes({ entries, sectorBytes }: Gpt): number {
  return (Math.ceil(entries.length / sectorBytes) + 1) * sectorBytes
}

type HeaderPlace = Record<'myLba' | 'alternateLba' | 'entriesLba' | 'lastUsableLba', number>

function headerAt(gpt: Gpt, place: HeaderPlace): Uint8Array {
  const header = gpt.header.slice()
  const view = viewOf(header)
  for (const field of ['myLba', 'alternateLba', 'entriesLba', 'lastUsableLba'] as const)
    view.setBigUint64(AT[field], BigInt(place[field]), true)
  view.setUint32(AT.headerCrc, headerCrc(header), true)
  return header
}

/** The first three groups of a GUID are little-endian, UEFI appendix A. */
function decodeGuid(bytes: Uint8Array): string {
  const group = (start: number, end: number) => bytes.slice(start, end)
  return [
    group(0, 4).reverse(),
    group(4, 6).reverse(),
    group(6, 8).reverse(),
    group(8, 10),
    group(10, 16),
  ]
    .map(encodeHex)
    .join('-')
}

function readLba(view: DataView, offset: number): number {
  const lba = view.getBigUint64(offset, true)
  // 2^40 sectors of 4,096 bytes are still an exact number of bytes; no disk is larger.
  if (lba >= 1n << 40n) throw new GptDecodeError(`No disk has a sector ${lba}`)
  return Number(lba)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The same memory as no Buffer, whose `slice` would not copy: what is given is never changed. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
