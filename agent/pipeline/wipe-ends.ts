import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { ByteRange, Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'
import { isZero } from './verify-pieces.ts'

/** Both ends of the disk, where partition tables, RAID superblocks and boot loaders lie. */
export const WIPED_END_BYTES = 4 * 1024 * 1024
/** What can't be written takes only this much around it along. */
const PIECE_BYTES = 256 * 1024
/** Boot code and the GPT's headers: a sector of 4 KiB, or what the kernel writes of 512 bytes at once. */
const EDGE_BYTES = 4096

/** The disk does not take zeros where boot code and partition tables lie. */
export class WipeError extends Error {
  override name = 'WipeError'
}

/**
 * Nothing boots from here on, neither the old system nor half of the new. What the disk does not take is
 * left out and the rest made zero all the same, and what it says it took is read back. Throws unless
 * all of it is zero.
 */
export async function wipeEnds(device: Device): Promise<void> {
  const pieces = endPieces(device.sizeBytes)
  let failure: unknown
  for (const piece of pieces) {
    try {
      await device.zero(piece)
    } catch (err) {
      failure ??= err
    }
  }
  await device.flush()
  if (failure !== undefined) throw failure
  device.dropCache()
  await withChunkBuffer(async (buffer) => {
    for (const piece of pieces) await proveZero(device, piece, buffer)
  })
}

/**
 * Writes what it holds to both edges of a disk: one that does not take it is found here, while what it
 * holds is still whole.
 */
export async function probeEdges(device: Device): Promise<void> {
  const { sizeBytes } = device
  await withChunkBuffer(async (buffer) => {
    const bytes = buffer.subarray(0, EDGE_BYTES)
    for (const start of [0, sizeBytes - (sizeBytes % EDGE_BYTES || EDGE_BYTES)]) {
      const edge = bytes.subarray(0, Math.min(EDGE_BYTES, sizeBytes - start))
      if (await tryRead(device, edge, start)) await device.write(edge, start)
    }
  })
  await device.flush()
}

function endPieces(sizeBytes: number): ByteRange[] {
  const head = { start: 0, end: Math.min(WIPED_END_BYTES, sizeBytes) }
  const tail = { start: Math.max(head.end, sizeBytes - WIPED_END_BYTES), end: sizeBytes }
  return [head, tail].flatMap(split)
}

function split({ start, end }: ByteRange): ByteRange[] {
  const count = Math.ceil((end - start) / PIECE_BYTES)
  return Array.from({ length: count }, (_, index) => ({
    start: start + index * PIECE_BYTES,
    end: Math.min(start + (index + 1) * PIECE_BYTES, end),
  }))
}

/** Some disks say that they made zeros, or that they wrote, and did not. */
async function proveZero(device: Device, piece: ByteRange, buffer: Buffer): Promise<void> {
  const bytes = buffer.subarray(0, piece.end - piece.start)
  await device.read(bytes, piece.start)
  if (isZero(bytes)) return
  await device.write(bytes.fill(0), piece.start)
  await device.flush()
  device.dropCache()
  await device.read(bytes, piece.start)
  if (isZero(bytes)) return
  throw new WipeError(
    `Disk "${device.path}" did not keep the zeros that were written at byte ${piece.start}; ` +
      'nothing of the image was written; replace the disk',
  )
}
