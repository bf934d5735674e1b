import { type FileHandle, open } from 'node:fs/promises'
import { corrupt } from './decompress.ts'

/** Of a directory entry of either level: where in the file it points; the other bits are flags. */
const OFFSET_HIGH_MASK = 0x00ff_ffff
const OFFSET_LOW_MASK = 0xffff_fe00
const COMPRESSED_HIGH_BIT = 0x4000_0000
const ZERO_LOW_BIT = 1
const SECTOR_BYTES = 512
const HIGH = 2 ** 32
/** As QEMU has it: larger ones it refuses too. */
const MAX_L1_BYTES = 32 * 1024 * 1024
const EXTENDED_L2_FEATURE = 1 << 4

type Geometry = { clusterBits: number; entryBytes: number; virtualBytes: number; fileBytes: number }

/**
 * Throws ImageRefusedError if the file is shorter than what its tables point to. QEMU takes what lies
 * beyond the end of a file for zeros, so a file that was cut short would give a disk with holes.
 */
export async function checkQcow2Extent(path: string): Promise<void> {
  await using file = await open(path, 'r')
  const header = viewOf(await readAt(file, 0, 104))
  const { size: fileBytes } = await file.stat()
  const version = header.getUint32(4)
  const isExtended = version >= 3 && (header.getUint32(76) & EXTENDED_L2_FEATURE) !== 0
  const geometry: Geometry = {
    clusterBits: header.getUint32(20),
    entryBytes: isExtended ? 16 : 8,
    virtualBytes: Number(header.getBigUint64(24)),
    fileBytes,
  }
  const l1Bytes = header.getUint32(36) * 8
  if (l1Bytes > MAX_L1_BYTES) throw cutShort(`its first table has ${l1Bytes} bytes`)
  const l1 = viewOf(await readAt(file, Number(header.getBigUint64(40)), l1Bytes))
  const clusterBytes = 2 ** geometry.clusterBits
  const l2Entries = clusterBytes / geometry.entryBytes
  const seen = new Set<number>()
  for (let index = 0; index < l1Bytes / 8; index++) {
    const offset = offsetOf(l1, index * 8)
    // A table may be named twice by a hostile file, but need not be read twice.
    if (offset === 0 || seen.has(offset)) continue
    seen.add(offset)
    const l2 = viewOf(await readAt(file, offset, clusterBytes))
    checkClusters(l2, index * l2Entries, geometry)
  }
}

function checkClusters(l2: DataView, firstCluster: number, geometry: Geometry): void {
  const clusterBytes = 2 ** geometry.clusterBits
  for (let at = 0; at < l2.byteLength; at += geometry.entryBytes) {
    const start = (firstCluster + at / geometry.entryBytes) * clusterBytes
    const neededBytes = Math.min(clusterBytes, geometry.virtualBytes - start)
    if (neededBytes <= 0) return
    const end = clusterEnd(l2, at, neededBytes, geometry)
    if (end > geometry.fileBytes)
      throw cutShort(`it has ${geometry.fileBytes} bytes but points to byte ${end}`)
  }
}

/** Where the data of an entry end in the file; 0 if it has none. */
function clusterEnd(l2: DataView, at: number, neededBytes: number, geometry: Geometry): number {
  const high = l2.getUint32(at)
  const low = l2.getUint32(at + 4)
  if (high & COMPRESSED_HIGH_BIT) return compressedEnd(high, low, geometry.clusterBits)
  const isZero = geometry.entryBytes === 8 && (low & ZERO_LOW_BIT) !== 0
  const offset = offsetOf(l2, at)
  return isZero || offset === 0 ? 0 : offset + neededBytes
}

/** The last sector may be cut at the end of the data. */
function compressedEnd(high: number, low: number, clusterBits: number): number {
  const offsetBits = 62 - (clusterBits - 8)
  const offset = (high & (2 ** (offsetBits - 32) - 1)) * HIGH + low
  const moreSectors = (high & 0x3fff_ffff) >>> (offsetBits - 32)
  return (Math.floor(offset / SECTOR_BYTES) + moreSectors) * SECTOR_BYTES + 1
}

function offsetOf(table: DataView, at: number): number {
  const high = table.getUint32(at) & OFFSET_HIGH_MASK
  return high * HIGH + ((table.getUint32(at + 4) & OFFSET_LOW_MASK) >>> 0)
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  if (!Number.isSafeInteger(offset)) throw cutShort('a table lies nowhere')
  const { bytesRead } = await file.read(bytes, 0, length, offset)
  if (bytesRead < length) throw cutShort(`a table at byte ${offset} is not all there`)
  return bytes
}

function cutShort(reason: string): Error {
  return corrupt('qcow2', reason)
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
