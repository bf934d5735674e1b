import { continueCrc32 } from '#protocol/disk/crc32.ts'

const INITIAL_CRC = 0xf597a6cf
const AREA = { start: 4096, sizeBytes: 1024 * 1024 - 4096 }
/** Not at its beginning, and so near the end that a text of more than this goes on there. */
const TEXT_AT = AREA.sizeBytes - 1024

/** The first MiB of an LVM physical volume, as lvm2 would write it: where nobody may attach loop devices. */
export function physicalVolumeHead(id: string, text: string): Buffer {
  const head = Buffer.alloc(1024 * 1024)
  const label = head.subarray(512, 1024)
  label.write('LABELONE', 0, 'latin1')
  label.writeBigUInt64LE(1n, 8)
  label.writeUInt32LE(32, 20)
  label.write('LVM2 001', 24, 'latin1')
  label.write(id, 32, 'latin1')
  // One data area up to the end, an end of list, the metadata area.
  label.writeBigUInt64LE(BigInt(head.length), 72)
  label.writeBigUInt64LE(BigInt(AREA.start), 104)
  label.writeBigUInt64LE(BigInt(AREA.sizeBytes), 112)
  label.writeUInt32LE(continueCrc32(label.subarray(20), INITIAL_CRC), 16)

  const bytes = Buffer.from(`${text}\0`)
  const area = head.subarray(AREA.start, AREA.start + AREA.sizeBytes)
  bytes.copy(area, TEXT_AT)
  bytes.copy(area, 512, AREA.sizeBytes - TEXT_AT)
  area.write(' LVM2 x[5A%r0N*>', 4, 'latin1')
  area.writeUInt32LE(1, 20)
  area.writeBigUInt64LE(BigInt(AREA.start), 24)
  area.writeBigUInt64LE(BigInt(AREA.sizeBytes), 32)
  area.writeBigUInt64LE(BigInt(TEXT_AT), 40)
  area.writeBigUInt64LE(BigInt(bytes.length), 48)
  area.writeUInt32LE(continueCrc32(bytes, INITIAL_CRC), 56)
  area.writeUInt32LE(continueCrc32(area.subarray(4, 512), INITIAL_CRC), 0)
  return head
}
