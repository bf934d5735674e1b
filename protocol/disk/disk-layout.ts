/** A disk's partition table in sectors. */
export type Layout = {
  table: 'gpt' | 'mbr' | 'none'
  sectorBytes: number
  /** In the order of the disk. */
  partitions: LayoutPartition[]
  /** GPT: first sector behind the last usable one, as the table has it now. */
  usableEnd?: number
  /** GPT with a hybrid MBR: first sector behind all partitions that the MBR lists. */
  hybridEnd?: number
}

export type LayoutPartition = {
  number: number
  path: string
  startSector: number
  sizeSectors: number
  /** GPT: the type GUID in lower case; MBR: hexadecimal digits without a prefix. */
  type: string
}

/** MBR types of partitions that hold logical ones. */
const EXTENDED_TYPES = new Set(['5', 'f', '85'])
const FIRST_LOGICAL_NUMBER = 5

export function isExtended(layout: Layout, partition: LayoutPartition): boolean {
  return layout.table === 'mbr' && EXTENDED_TYPES.has(partition.type)
}

export function isLogical(layout: Layout, partition: LayoutPartition): boolean {
  return layout.table === 'mbr' && partition.number >= FIRST_LOGICAL_NUMBER
}

export function partitionEnd({ startSector, sizeSectors }: LayoutPartition): number {
  return startSector + sizeSectors
}
