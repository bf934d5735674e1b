import { decodeGpt, detectSectorBytes, hasGptSignature, plainBytes } from './gpt.ts'
import { encodeHex } from '../hex.ts'
import type { BootMode, ImagePartition } from '../image/image-info.ts'

export type PartitionTable = {
  kind: 'gpt' | 'mbr' | 'none'
  sectorBytes: number
  partitions: ImagePartition[]
  /** Sector 0 holds code: firmware of the BIOS kind would run it. */
  hasBootCode: boolean
}

/** UEFI 2.10, table 5-7: EFI System Partition. */
export const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
/** GRUB's "BIOS boot partition". */
export const BIOS_BOOT_TYPE = '21686148-6449-6e6f-744e-656564454649'
/** An EFI System Partition on a disk with an MBR, UEFI 2.10 section 5.2.2. */
export const MBR_ESP_TYPE = '0xef'
/** Of an MBR: type of the one entry that stands for a GPT. */
export const GPT_PROTECTIVE_TYPE = 0xee

/** Of an MBR: what Windows' Logical Disk Manager cuts up into volumes. With a GPT it has a partition for what it knows. */
export const LDM_TYPE = '0x42'

/** As much of a disk's beginning as an MBR has. */
export const MBR_BYTES = 512
const MBR_SIGNATURE_AT = 510
const MBR_DISK_ID_AT = 440
export const MBR_ENTRIES_AT = 446
export const MBR_ENTRY_BYTES = 16
export const MBR_ENTRIES = 4

/** Instructions that do nothing but stop: protective MBRs of some tools hold only these. */
const IDLE_CODE = new Set([0x00, 0x90, 0xf4])

/**
 * The partition table in the first bytes of a disk (give it 1 MiB). Without `sectorBytes` the
 * place of the GPT header tells, else 512. Logical partitions of an extended one lie further in
 * and are not listed. Throws GptDecodeError if the primary GPT is damaged.
 */
export function parsePartitionTable(
  head: Uint8Array,
  sectorBytes: number = detectSectorBytes(head) ?? 512,
): PartitionTable {
  const hasBootCode = hasMbrSignature(head) && !isIdle(head.subarray(0, MBR_DISK_ID_AT))
  const entries = hasMbrSignature(head) ? mbrEntries(head) : []
  const isProtective = entries.some(({ type }) => type === GPT_PROTECTIVE_TYPE)
  // The kernel asks for the protective entry too (block/partitions/efi.c): without it, a GPT
  // header is a left-over of an earlier life of the disk.
  if (isProtective && hasGptSignature(head, sectorBytes)) {
    const { partitions } = decodeGpt(head, sectorBytes)
    return { kind: 'gpt', sectorBytes, partitions, hasBootCode }
  }
  const partitions = entries.map((entry) => mbrPartition(head, entry, sectorBytes))
  if (partitions.length === 0 || isBootSector(head))
    return { kind: 'none', sectorBytes, partitions: [], hasBootCode }
  return { kind: 'mbr', sectorBytes, partitions, hasBootCode }
}

/**
 * What the MBR of a disk with a GPT lists besides what stands for the GPT: a hybrid one, for systems that do not
 * know a GPT. Nobody keeps the two in step.
 */
export function hybridPartitions(head: Uint8Array, sectorBytes: number): ImagePartition[] {
  if (!hasMbrSignature(head)) return []
  return mbrEntries(head)
    .filter(({ type }) => type !== GPT_PROTECTIVE_TYPE)
    .map((entry) => mbrPartition(head, entry, sectorBytes))
}

export function findEsp({ partitions }: PartitionTable): ImagePartition | undefined {
  return partitions.find(({ type }) => type === ESP_TYPE || type === MBR_ESP_TYPE)
}

/** Kinds of firmware that find something to start on such a disk. */
export function bootModes(table: PartitionTable): BootMode[] {
  const modes: BootMode[] = []
  if (table.hasBootCode) modes.push('bios')
  if (findEsp(table)) modes.push('uefi')
  return modes
}

function hasMbrSignature(head: Uint8Array): boolean {
  return head[MBR_SIGNATURE_AT] === 0x55 && head[MBR_SIGNATURE_AT + 1] === 0xaa
}

/** A file system without a table (FAT, NTFS) has the same signature, and code or text as entries. */
function isBootSector(head: Uint8Array): boolean {
  const statuses = Array.from(
    { length: MBR_ENTRIES },
    (_, index) => head[MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES],
  )
  return statuses.some((status) => status !== 0x00 && status !== 0x80)
}

function isIdle(code: Uint8Array): boolean {
  return code.every((byte) => IDLE_CODE.has(byte))
}

type MbrEntry = { number: number; type: number; startLba: number; sectors: number }

function mbrEntries(head: Uint8Array): MbrEntry[] {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  return Array.from({ length: MBR_ENTRIES }, (_, index) => {
    const at = MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES
    return {
      number: index + 1,
      type: view.getUint8(at + 4),
      startLba: view.getUint32(at + 8, true),
      sectors: view.getUint32(at + 12, true),
    }
  }).filter(({ type, sectors }) => type !== 0 && sectors !== 0)
}

function mbrPartition(head: Uint8Array, entry: MbrEntry, sectorBytes: number): ImagePartition {
  const diskId = encodeHex(
    plainBytes(head)
      .slice(MBR_DISK_ID_AT, MBR_DISK_ID_AT + 4)
      .reverse(),
  )
  return {
    number: entry.number,
    startBytes: entry.startLba * sectorBytes,
    sizeBytes: entry.sectors * sectorBytes,
    type: `0x${entry.type.toString(16).padStart(2, '0')}`,
    // The kernel's PARTUUID of an MBR partition: disk id and number, both in hex.
    uuid: `${diskId}-${entry.number.toString(16).padStart(2, '0')}`,
  }
}
