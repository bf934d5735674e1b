import { backupGptBytes, decodeGpt, fitGpt, GptDecodeError, type DiskWrite } from './gpt.ts'
import type { ImageInfo } from '../image/image-info.ts'
import {
  GPT_PROTECTIVE_TYPE,
  LDM_TYPE,
  MBR_ENTRIES,
  MBR_ENTRIES_AT,
  MBR_ENTRY_BYTES,
  hybridPartitions,
  parsePartitionTable,
} from './partition-table.ts'

/** An image on a disk that is smaller than it is, where its partitions end before the disk does. */

export type ShrinkVerdict =
  /** `endBytes`: of the last partition. */
  | { kind: 'fits'; endBytes: number }
  /** Why not, as the end of a sentence. */
  | { kind: 'blocked'; reason: string }

export type ShrinkPlan =
  /** What differs from the image as it is, up to the end of the disk. */
  { kind: 'fits'; endBytes: number; writes: DiskWrite[] } | { kind: 'blocked'; reason: string }

const MAX_UINT32 = 0xffff_ffff
/** 128 of 128 bytes: what nearly all tools make. */
const USUAL_ENTRIES_BYTES = 128 * 128

/**
 * What makes of an image, whose first MiB is `head`, one of a disk of `diskBytes`: its backup GPT
 * belongs at the new end, and the primary must say where that is. An MBR says nothing of the disk's end.
 */
export function planShrink(head: Uint8Array, sectorBytes: number, diskBytes: number): ShrinkPlan {
  try {
    const { kind, partitions } = parsePartitionTable(head, sectorBytes)
    const hindrance = findHindrance(kind, partitions)
    if (hindrance) return hindrance
    const hybrid = kind === 'gpt' ? hybridPartitions(head, sectorBytes) : []
    const endBytes = endOf([...partitions, ...hybrid])
    const gpt = kind === 'gpt' ? decodeGpt(head, sectorBytes) : undefined
    const verdict = judge(endBytes, gpt ? backupGptBytes(gpt) : 0, diskBytes)
    if (verdict.kind === 'blocked') return verdict
    if (!gpt) return { ...verdict, writes: [] }
    const { primary, backup } = fitGpt(gpt, diskBytes)
    const protective = protectiveMbr(head, sectorBytes, diskBytes)
    return { ...verdict, writes: [...protective, primary, backup] }
  } catch (err) {
    if (!(err instanceof GptDecodeError)) throw err
    return { kind: 'blocked', reason: `its partition table is damaged: ${err.message}` }
  }
}

/** The same, from what is known of an image beside its content; undefined where that is not enough. */
export function predictShrink(
  { partitionTable, partitions }: ImageInfo,
  sectorBytes: number,
  diskBytes: number,
): ShrinkVerdict | undefined {
  if (partitionTable === undefined || !partitions) return undefined
  const hindrance = findHindrance(partitionTable, partitions)
  if (hindrance) return hindrance
  const backupBytes = partitionTable === 'gpt' ? USUAL_ENTRIES_BYTES + sectorBytes : 0
  return judge(endOf(partitions), backupBytes, diskBytes)
}

const NO_TABLE = {
  kind: 'blocked',
  reason: 'it has no partition table that says where its content ends',
} as const

/** It was made for other sectors, or wiped: a backup at the disk's end may still say where partitions are. */
const NO_GPT = {
  kind: 'blocked',
  reason: 'its MBR stands for a GPT, and there is none where that belongs',
} as const

/** Windows keeps what it knows of the volumes in the last MiB, behind all partitions. */
const MANAGED = {
  kind: 'blocked',
  reason: 'it is of a dynamic disk (Logical Disk Manager), whose volumes are described at its end',
} as const

/** Why nobody knows where such a disk's content ends, whatever its size. */
function findHindrance(kind: 'none' | 'mbr' | 'gpt', partitions: readonly { type: string }[]) {
  if (kind === 'none') return NO_TABLE
  if (kind === 'mbr' && partitions.some(isProtective)) return NO_GPT
  if (partitions.some(isManaged)) return MANAGED
  return undefined
}

function isManaged({ type }: { type: string }): boolean {
  return type === LDM_TYPE
}

function isProtective({ type }: { type: string }): boolean {
  return Number(type) === GPT_PROTECTIVE_TYPE
}

function endOf(partitions: readonly { startBytes: number; sizeBytes: number }[]): number {
  return Math.max(0, ...partitions.map(({ startBytes, sizeBytes }) => startBytes + sizeBytes))
}

function judge(endBytes: number, backupBytes: number, diskBytes: number): ShrinkVerdict {
  if (endBytes + backupBytes <= diskBytes) return { kind: 'fits', endBytes }
  const end = `its last partition ends at byte ${endBytes}`
  const more = backupBytes === 0 ? '' : `, and its backup GPT takes ${backupBytes} bytes more`
  return { kind: 'blocked', reason: end + more }
}

/** The entry covers the disk, UEFI 2.10 section 5.2.3; one of a hybrid MBR ends before, and stays. */
function protectiveMbr(head: Uint8Array, sectorBytes: number, diskBytes: number): DiskWrite[] {
  const sector = Uint8Array.from(head.subarray(0, sectorBytes))
  const view = new DataView(sector.buffer)
  const lastLba = Math.floor(diskBytes / sectorBytes) - 1
  for (let index = 0; index < MBR_ENTRIES; index++) {
    const at = MBR_ENTRIES_AT + index * MBR_ENTRY_BYTES
    const sectors = view.getUint32(at + 12, true)
    if (sector[at + 4] !== GPT_PROTECTIVE_TYPE || sectors === MAX_UINT32 || sectors <= lastLba)
      continue
    view.setUint32(at + 12, lastLba, true)
    return [{ offsetBytes: 0, bytes: sector }]
  }
  return []
}
