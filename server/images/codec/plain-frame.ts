import { joinBytes } from './join-bytes.ts'

/**
 * zstd frames (RFC 8878) written block by block without compressing: their length follows from that of
 * the content alone, and never changes with a version of the library.
 */

const MAGIC = 0xfd2fb528
/** Section 3.1.1.1.1: content size in four bytes, one segment, no checksum, no dictionary. */
const DESCRIPTOR = 0xa0
const HEADER_BYTES = 4 + 1 + 4
const BLOCK_HEADER_BYTES = 3
const MAX_BLOCK_BYTES = 131_072
const BLOCK = { raw: 0, rle: 1 } as const
/** Section 3.1.2; the last digit is free. */
const SKIPPABLE_MAGIC = 0x184d2a5e
const SKIPPABLE_MASK = 0xfffffff0
export const SKIPPABLE_HEADER_BYTES = 8

export function plainFrameLength(contentBytes: number): number {
  const blocks = Math.max(1, Math.ceil(contentBytes / MAX_BLOCK_BYTES))
  return HEADER_BYTES + blocks * BLOCK_HEADER_BYTES + contentBytes
}

/** A frame that holds `content` as it is. */
export function plainFrame(content: Uint8Array, target?: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [frameHeader(content.length)]
  for (let start = 0; start === 0 || start < content.length; start += MAX_BLOCK_BYTES) {
    const block = content.subarray(start, start + MAX_BLOCK_BYTES)
    const isLast = start + MAX_BLOCK_BYTES >= content.length
    parts.push(blockHeader(BLOCK.raw, block.length, isLast), block)
  }
  return joinBytes(parts, target)
}

const zeroFrames = new Map<number, Uint8Array>()

/** The frame of `contentBytes` zeros, two at least. */
export function zeroFrame(contentBytes: number): Uint8Array {
  let frame = zeroFrames.get(contentBytes)
  if (!frame) {
    // The library up to 1.4.3 refuses a frame whose first block is a run, so the first zero is none.
    const parts = [frameHeader(contentBytes), blockHeader(BLOCK.raw, 1, false), Uint8Array.of(0)]
    for (let rest = contentBytes - 1; rest > 0; rest -= MAX_BLOCK_BYTES) {
      const length = Math.min(rest, MAX_BLOCK_BYTES)
      parts.push(blockHeader(BLOCK.rle, length, rest <= MAX_BLOCK_BYTES), Uint8Array.of(0))
    }
    frame = Buffer.concat(parts)
    zeroFrames.set(contentBytes, frame)
  }
  return frame
}

function frameHeader(contentBytes: number): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(MAGIC)
  header[4] = DESCRIPTOR
  header.writeUInt32LE(contentBytes, 5)
  return header
}

function blockHeader(type: 0 | 1, length: number, isLast: boolean): Uint8Array {
  const header = Buffer.alloc(BLOCK_HEADER_BYTES)
  header.writeUIntLE((length << 3) | (type << 1) | (isLast ? 1 : 0), 0, BLOCK_HEADER_BYTES)
  return header
}

/** What decoders pass over. */
export function skippableFrame(content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(SKIPPABLE_HEADER_BYTES)
  header.writeUInt32LE(SKIPPABLE_MAGIC)
  header.writeUInt32LE(content.length, 4)
  return Buffer.concat([header, content])
}

/** How many bytes follow the header of a skippable frame; undefined if `bytes` begin with none. */
export function skippableLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < SKIPPABLE_HEADER_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if ((view.getUint32(0, true) & SKIPPABLE_MASK) >>> 0 !== (SKIPPABLE_MAGIC & SKIPPABLE_MASK) >>> 0)
    return undefined
  return view.getUint32(4, true)
}
