import { promisify } from 'node:util'
import { constants, zstdDecompress, zstdDecompressSync, type ZstdOptions } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/image/chunk-size.ts'
import { decompressInto } from './zstd-calls.ts'

/** zstd frames (RFC 8878) block by block: zlib's own call accepts what follows one. */

export class FrameDecodeError extends Error {
  override name = 'FrameDecodeError'
  /** It may be whole with what follows. */
  readonly isCutShort: boolean
  constructor(message: string, options?: ErrorOptions & { isCutShort?: boolean }) {
    super(message, options)
    this.isCutShort = options?.isCutShort ?? false
  }
}

const MAGIC = 0xfd2fb528
const MAGIC_BYTES = 4
const BLOCK_HEADER_BYTES = 3
const CHECKSUM_BYTES = 4
/** Length of the content size field by the two highest bits of the descriptor, section 3.1.1.1.1. */
const SIZE_FIELD_BYTES = [0, 2, 4, 8] as const
const DICTIONARY_FIELD_BYTES = [0, 1, 2, 4] as const
const FLAG = { singleSegment: 0x20, reserved: 0x08, checksum: 0x04 } as const
const BLOCK = { rle: 1, reserved: 3 } as const
/** Longest header: magic, descriptor, window or dictionary, content size. */
export const FRAME_HEADER_BYTES = 18
/** The smallest output buffer that zlib takes. */
const MIN_OUTPUT_BYTES = 64
/** A decoder has a window of at most a chunk, whatever the frame asks for. */
const WINDOW_LOG = Math.log2(CHUNK_BYTES)

const decompress = promisify(zstdDecompress)

export type FrameHeader = {
  /** Where the first block begins. */
  bytes: number
  contentBytes: number
  hasChecksum: boolean
}

export function isZstd(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC_BYTES && viewOf(bytes).getUint32(0, true) === MAGIC
}

/** Throws FrameDecodeError for a frame that does not state how much content it has. */
export function decodeFrameHeader(frame: Uint8Array): FrameHeader {
  const { contentBytes, ...header } = decodeAnyHeader(frame)
  if (contentBytes === undefined)
    throw new FrameDecodeError('It does not state the length of its content')
  return { ...header, contentBytes }
}

/** Of frames of others, too, which may not state their content's length. Throws FrameDecodeError. */
export function decodeAnyHeader(
  frame: Uint8Array,
): Omit<FrameHeader, 'contentBytes'> & { contentBytes: number | undefined } {
  if (!isZstd(frame) || frame.length <= MAGIC_BYTES)
    throw new FrameDecodeError('It does not begin with a zstd frame', {
      isCutShort: frame.length <= MAGIC_BYTES,
    })
  const descriptor = frame[MAGIC_BYTES]!
  if (descriptor & FLAG.reserved)
    throw new FrameDecodeError('Its frame header has an unknown flag set')
  if (DICTIONARY_FIELD_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3] > 0)
    throw new FrameDecodeError('It needs a dictionary; compress chunks without one')
  const isSingle = (descriptor & FLAG.singleSegment) !== 0
  const sizeKind = (descriptor >> 6) as 0 | 1 | 2 | 3
  const sizeBytes = sizeKind === 0 && isSingle ? 1 : SIZE_FIELD_BYTES[sizeKind]
  const sizeStart = MAGIC_BYTES + 1 + (isSingle ? 0 : 1)
  const bytes = sizeStart + sizeBytes
  if (frame.length < bytes)
    throw new FrameDecodeError('Its frame header is cut short', { isCutShort: true })
  return {
    bytes,
    contentBytes: sizeBytes === 0 ? undefined : readSize(viewOf(frame), sizeStart, sizeBytes),
    hasChecksum: (descriptor & FLAG.checksum) !== 0,
  }
}

function readSize(view: DataView, start: number, bytes: 1 | 2 | 4 | 8): number {
  switch (bytes) {
    case 1:
      return view.getUint8(start)
    case 2:
      // The two-byte field counts from 256.
      return view.getUint16(start, true) + 256
    case 4:
      return view.getUint32(start, true)
    case 8:
      return Number(view.getBigUint64(start, true))
  }
}

/**
 * Content of exactly one frame, not a byte more, of 1 MiB at most. Throws FrameDecodeError. Never
 * produces more than the limit, whatever the frame would inflate to.
 */
export async function inflateFrame(frame: Uint8Array): Promise<Buffer> {
  const contentBytes = contentOfOne(frame)
  const content = await decompress(frame, inflateOptions(contentBytes)).catch(refuse)
  return ofLength(content, contentBytes)
}

/**
 * As `inflateFrame`, for threads that have nothing else to do meanwhile: the content is at the start of
 * `target`, which has room for a chunk, or in memory of its own.
 */
export function inflateFrameSync(frame: Uint8Array, target: Uint8Array): Uint8Array {
  const contentBytes = contentOfOne(frame)
  try {
    const content = isSingleSegment(frame)
      ? target.subarray(0, decompressInto(target, frame))
      : zstdDecompressSync(frame, inflateOptions(contentBytes))
    return ofLength(content, contentBytes)
  } catch (err) {
    return refuse(err)
  }
}

/** Such a frame has no window of its own that could ask for memory: section 3.1.1.1.1.2. */
function isSingleSegment(frame: Uint8Array): boolean {
  return (frame[MAGIC_BYTES]! & FLAG.singleSegment) !== 0
}

/** How many bytes of content these bytes have, if they are one frame. */
function contentOfOne(frame: Uint8Array): number {
  const { contentBytes } = decodeFrameHeader(frame)
  if (contentBytes > CHUNK_BYTES)
    throw new FrameDecodeError(`It inflates to more than ${CHUNK_BYTES} bytes`)
  const end = frameEnd(frame)
  if (end > frame.length) throw new FrameDecodeError('Its zstd frame is cut short')
  if (end < frame.length)
    throw new FrameDecodeError(`${frame.length - end} bytes follow its end; send one frame only`)
  return contentBytes
}

function inflateOptions(contentBytes: number): ZstdOptions {
  return {
    // One more than the content: the call then ends in one turn.
    chunkSize: Math.max(MIN_OUTPUT_BYTES, contentBytes + 1),
    maxOutputLength: CHUNK_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG },
  }
}

function ofLength<Bytes extends Uint8Array>(content: Bytes, contentBytes: number): Bytes {
  if (content.length === contentBytes) return content
  throw new FrameDecodeError('Its frame header states another length')
}

function refuse(cause: unknown): never {
  if (cause instanceof FrameDecodeError) throw cause
  throw new FrameDecodeError(`It does not inflate: ${(cause as Error).message}`, { cause })
}

/**
 * Where the first frame in these bytes ends, which may be a checksum further than they go. Section
 * 3.1.1.2: each block says how long it is, and the last one that it is the last. Throws
 * FrameDecodeError.
 */
export function frameEnd(
  frame: Uint8Array,
  { bytes, hasChecksum }: Omit<FrameHeader, 'contentBytes'> = decodeFrameHeader(frame),
): number {
  const view = viewOf(frame)
  for (let offset = bytes; offset + BLOCK_HEADER_BYTES <= frame.length;) {
    const block = view.getUint16(offset, true) | (view.getUint8(offset + 2) << 16)
    const kind = (block >> 1) & 3
    if (kind === BLOCK.reserved) throw new FrameDecodeError('It has a block of unknown type')
    offset += BLOCK_HEADER_BYTES + (kind === BLOCK.rle ? 1 : block >> 3)
    if (block & 1) return offset + (hasChecksum ? CHECKSUM_BYTES : 0)
  }
  throw new FrameDecodeError('Its zstd frame is cut short', { isCutShort: true })
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
