/** CRC-32 of ISO 3309, as gzip and GPT use it; for the few kilobytes of a table, not for disks. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1
  return rest
})

export function crc32(bytes: Uint8Array): number {
  return (continueCrc32(bytes, 0xffffffff) ^ 0xffffffff) >>> 0
}

/** Without turning its bits around, and from where another ended; LVM begins with a number of its own. */
export function continueCrc32(bytes: Uint8Array, start: number): number {
  let crc = start
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  return crc >>> 0
}
