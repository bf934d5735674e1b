import { MIB } from './disk-content.ts'

const TABLE_OFFSET = 446
const ENTRY_BYTES = 16
const LINUX = 0x83
const SECTOR_BYTES = 512

/** A disk that ends a MiB after its last partition, empty but for its table. */
export function mbrDisk(partitions: { startMib: number; sizeMib: number }[]): Uint8Array {
  const end = Math.max(...partitions.map(({ startMib, sizeMib }) => startMib + sizeMib))
  const disk = Buffer.alloc((end + 1) * MIB)
  for (const [index, { startMib, sizeMib }] of partitions.entries()) {
    const entry = TABLE_OFFSET + index * ENTRY_BYTES
    disk.writeUInt8(LINUX, entry + 4)
    disk.writeUInt32LE((startMib * MIB) / SECTOR_BYTES, entry + 8)
    disk.writeUInt32LE((sizeMib * MIB) / SECTOR_BYTES, entry + 12)
  }
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2)
  return disk
}
