import { CHUNK_BYTES, LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { SKIPPABLE_HEADER_BYTES, skippableLength, zeroFrame } from '../codec/plain-frame.ts'
import {
  frameEnd,
  FRAME_HEADER_BYTES,
  FrameDecodeError,
  inflateFrame,
} from '../codec/zstd-frame.ts'
import type { ByteInput } from './byte-input.ts'
import type { Piece } from './chunk-cutter.ts'
import { corrupt } from './decompress.ts'

/** Of most frames there are few blocks: this much is looked at before more is asked for. */
const FIRST_LOOK_BYTES = FRAME_HEADER_BYTES + 64

/**
 * Content of an export of ours as zstd: one frame a chunk. With a decoder for each, as for other files,
 * a disk that is mostly zeros would take a thousand times as long.
 */
export async function* readExportFrames(input: ByteInput): AsyncGenerator<Piece> {
  await take(input, SKIPPABLE_HEADER_BYTES + (await stampLength(input)))
  for (;;) {
    const frame = await nextFrame(input)
    if (!frame) return
    const zeroBytes = zerosOf(frame)
    if (zeroBytes !== undefined) yield { zeroBytes }
    else
      yield await inflateFrame(frame).catch((cause: unknown) => {
        throw corrupt('zstd', (cause as Error).message, { cause })
      })
  }
}

async function stampLength(input: ByteInput): Promise<number> {
  return skippableLength(await input.peek(SKIPPABLE_HEADER_BYTES)) ?? 0
}

/** Undefined at the end. */
async function nextFrame(input: ByteInput): Promise<Uint8Array | undefined> {
  for (let count = FIRST_LOOK_BYTES; ; count = Math.min(2 * count, LONGEST_STORED_BYTES)) {
    const head = await input.peek(count)
    if (head.length === 0) return undefined
    const end = endOf(head)
    if (end !== undefined && end <= LONGEST_STORED_BYTES) {
      const frame = await input.peek(end)
      if (frame.length === end) return take(input, end)
    }
    if (head.length < count || count === LONGEST_STORED_BYTES)
      throw corrupt('zstd', 'a frame is cut short, or longer than a chunk can be')
  }
}

/** Undefined: further than these bytes. */
function endOf(head: Uint8Array): number | undefined {
  try {
    return frameEnd(head)
  } catch (cause) {
    if (cause instanceof FrameDecodeError && cause.isCutShort) return undefined
    throw corrupt('zstd', (cause as Error).message, { cause })
  }
}

/** How many zeros, if the frame is the one that exports have for so many. */
function zerosOf(frame: Uint8Array): number | undefined {
  if (frame.length > zeroFrame(CHUNK_BYTES).length) return undefined
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const contentBytes = frame.length > 9 ? view.getUint32(5, true) : 0
  if (contentBytes < 2 || contentBytes > CHUNK_BYTES) return undefined
  return Buffer.compare(zeroFrame(contentBytes), frame) === 0 ? contentBytes : undefined
}

async function take(input: ByteInput, count: number): Promise<Uint8Array> {
  const bytes = await input.peek(count)
  for (let rest = count; rest > 0;) {
    const part = await input.next()
    if (!part) throw corrupt('zstd', 'it is cut short')
    input.unshift(part.subarray(rest))
    rest -= Math.min(rest, part.length)
  }
  return bytes
}
