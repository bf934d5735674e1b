import { isZero } from '../chunks/content.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { ByteRange } from '../disk/byte-range.ts'
import type { Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'

/** Both ends of the disk, where partition tables, RAID superblocks and boot loaders lie. */
export const WIPED_END_BYTES = 4 * 1024 * 1024
/** What can't be written takes only this much around it along. */
const PIECE_BYTES = 256 * 1024
/** Boot code, the GPT's headers: what firmware looks for first, and what a disk writes whole or not at all. */
export const EDGE_BYTES = 4096

/** The disk does not take zeros where boot code and partition tables lie. */
export class WipeError extends Error {
  override name = 'WipeError'
}

/**
 * Nothing boots from here on, neither the old system nor half of the new. The first sector comes first: a
 * disk that does not take zeros there keeps what it holds. Then the last one, where a backup of the table is:
 * until both are on the medium, what they lead to is whole. After that, what the disk does not take is left
 * out and the rest made zero all the same. Throws unless all of it is zero.
 */
export async function wipeEnds(device: Device): Promise<void> {
  const { first, last, others } = endPieces(device.sizeBytes)
  const failure = await makeZero(device, [first])
  if (failure !== undefined && (await holdsContent(device, first))) throw failure
  const failures = [failure, await makeZero(device, last), await makeZero(device, others)]
  const earliest = failures.find((err) => err !== undefined)
  if (earliest !== undefined) throw earliest
}

/** Returns the first of the errors. */
async function makeZero(device: Device, pieces: readonly ByteRange[]): Promise<unknown> {
  const failures: unknown[] = []
  const attempt = async (work: Promise<void>) => {
    await work.catch((err: unknown) => failures.push(err))
  }
  for (const piece of pieces) await attempt(device.zero(piece))
  await attempt(device.flush())
  if (failures.length === 0) {
    device.dropCache()
    await withChunkBuffer(async (buffer) => {
      for (const piece of pieces) await attempt(proveZero(device, piece, buffer))
    })
  }
  return failures[0]
}

async function holdsContent(device: Device, { start, end }: ByteRange): Promise<boolean> {
  return await withChunkBuffer(async (buffer) => {
    const bytes = buffer.subarray(0, end - start)
    return (await tryRead(device, bytes, start)) && !isZero(bytes)
  })
}

/**
 * Writes to both edges of a disk what it holds there, or zeros where it can't be read: a disk that does not
 * take that is found here, while what it holds is still whole.
 */
export async function probeEdges(device: Device): Promise<void> {
  const { sizeBytes } = device
  await withChunkBuffer(async (buffer) => {
    const bytes = buffer.subarray(0, EDGE_BYTES)
    for (const start of [0, sizeBytes - (sizeBytes % EDGE_BYTES || EDGE_BYTES)]) {
      const edge = bytes.subarray(0, Math.min(EDGE_BYTES, sizeBytes - start))
      if (!(await tryRead(device, edge, start))) edge.fill(0)
      await device.write(edge, start)
    }
  })
  await device.flush()
}

interface EndPieces {
  first: ByteRange
  /** None on a disk that is all in the first. */
  last: ByteRange[]
  others: ByteRange[]
}

function endPieces(sizeBytes: number): EndPieces {
  const first = { start: 0, end: Math.min(EDGE_BYTES, sizeBytes) }
  const last = { start: Math.max(first.end, sizeBytes - EDGE_BYTES), end: sizeBytes }
  const head = { start: first.end, end: Math.max(first.end, Math.min(WIPED_END_BYTES, last.start)) }
  const tail = { start: Math.max(head.end, sizeBytes - WIPED_END_BYTES), end: last.start }
  const isNone = last.start === last.end
  return {
    first,
    last: isNone ? [] : [last],
    others: isNone ? [] : [...split(head), ...split(tail)],
  }
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
