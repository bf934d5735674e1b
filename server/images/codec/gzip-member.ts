import { promisify } from 'node:util'
import { crc32, inflateRaw, type InputType, type ZlibOptions } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/image/chunk-size.ts'
import { joinBytes } from './join-bytes.ts'

/** gzip members (RFC 1952) byte by byte: what zlib's own calls hide or join together. */

export class MemberDecodeError extends Error {
  override name = 'MemberDecodeError'
}

const HEADER_BYTES = 10
const TRAILER_BYTES = 8
/** Magic, method deflate, no flags, no time, no extra flags, system unknown. */
const PLAIN_HEADER = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const
/** An inflate call then ends in one turn of the thread pool. */
const OUTPUT_BYTES = CHUNK_BYTES + 65_536

export type MemberHeader = {
  /** Where the deflate data begins. */
  bytes: number
  /** FEXTRA subfields by their two letters. */
  extra: Map<string, Uint8Array>
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 8
}

/** Content length that the trailer states, modulo 2^32. */
export function statedLength(member: Uint8Array): number {
  return viewOf(member).getUint32(member.length - 4, true)
}

/** Throws MemberDecodeError if `bytes` does not begin with one whole gzip header. */
export function decodeMemberHeader(bytes: Uint8Array): MemberHeader {
  if (bytes.length < HEADER_BYTES || !isGzip(bytes))
    throw new MemberDecodeError('It does not begin with a gzip header')
  const flags = bytes[3]!
  if (flags & FLAG.reserved) throw new MemberDecodeError('Its gzip header has unknown flags')
  let offset = HEADER_BYTES
  let extra = new Map<string, Uint8Array>()
  const skip = (count: number) => {
    offset += count
    if (offset > bytes.length) throw new MemberDecodeError('Its gzip header is cut short')
  }
  if (flags & FLAG.extra) {
    skip(2)
    const length = viewOf(bytes).getUint16(offset - 2, true)
    skip(length)
    extra = decodeExtra(bytes.subarray(offset - length, offset))
  }
  for (const flag of [FLAG.name, FLAG.comment]) {
    if (!(flags & flag)) continue
    const end = bytes.indexOf(0, offset)
    skip(end < 0 ? Infinity : end + 1 - offset)
  }
  if (flags & FLAG.headerCrc) skip(2)
  return { bytes: offset, extra }
}

function decodeExtra(field: Uint8Array): Map<string, Uint8Array> {
  const extra = new Map<string, Uint8Array>()
  let offset = 0
  while (offset + 4 <= field.length) {
    const id = String.fromCharCode(field[offset]!, field[offset + 1]!)
    const length = viewOf(field).getUint16(offset + 2, true)
    extra.set(id, field.slice(offset + 4, offset + 4 + length))
    offset += 4 + length
  }
  return extra
}

type Inflated = { buffer: Buffer; engine: { bytesWritten: number } }
// With `info` the result also tells how much of the input was used; the types do not know.
const inflateWithInfo = promisify(inflateRaw) as unknown as (
  bytes: InputType,
  options: ZlibOptions,
) => Promise<Inflated>

/**
 * Content of exactly one member, not a byte more, of 1 MiB at most. Throws MemberDecodeError. Never
 * produces more than the limit, whatever the member would inflate to.
 */
export async function inflateMember(member: Uint8Array): Promise<Buffer> {
  const { bytes: start } = decodeMemberHeader(member)
  const { buffer, engine } = await inflateBounded(member.subarray(start))
  const end = start + engine.bytesWritten + TRAILER_BYTES
  if (end > member.length) throw new MemberDecodeError('Its gzip trailer is cut short')
  if (end < member.length)
    throw new MemberDecodeError(`${member.length - end} bytes follow its end; send one member only`)
  const trailer = viewOf(member.subarray(end - TRAILER_BYTES))
  if (trailer.getUint32(0, true) !== crc32(buffer))
    throw new MemberDecodeError('Its checksum is wrong')
  if (trailer.getUint32(4, true) !== buffer.length)
    throw new MemberDecodeError('Its trailer states another length')
  return buffer
}

async function inflateBounded(deflated: Uint8Array): Promise<Inflated> {
  try {
    return await inflateWithInfo(deflated, {
      info: true,
      chunkSize: OUTPUT_BYTES,
      maxOutputLength: CHUNK_BYTES,
    })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new MemberDecodeError(`It inflates to more than ${CHUNK_BYTES} bytes`, { cause })
    throw new MemberDecodeError(`It does not inflate: ${(cause as Error).message}`, { cause })
  }
}

/** A member without content whose header carries a subfield. */
export function emptyMember(subfieldId: string, subfield: Uint8Array): Uint8Array {
  const header = Uint8Array.from(PLAIN_HEADER)
  header[3] = FLAG.extra
  const extra = new Uint8Array(6)
  viewOf(extra).setUint16(0, 4 + subfield.length, true)
  extra.set([subfieldId.charCodeAt(0), subfieldId.charCodeAt(1)], 2)
  viewOf(extra).setUint16(4, subfield.length, true)
  // One empty block with fixed codes: final bit, type 01, end-of-block 0000000.
  return Buffer.concat([header, extra, subfield, Uint8Array.of(0x03, 0x00), trailerOf(0, 0)])
}

/** RFC 1951: a stored block has a 16-bit length. */
const STORED_BLOCK_BYTES = 65_535
const STORED_BLOCK_HEADER_BYTES = 5

export function storedMemberLength(contentBytes: number): number {
  const blocks = Math.max(1, Math.ceil(contentBytes / STORED_BLOCK_BYTES))
  return HEADER_BYTES + blocks * STORED_BLOCK_HEADER_BYTES + contentBytes + TRAILER_BYTES
}

/** A member that holds `content` as it is: its length follows from that of the content alone. */
export function storedMember(content: Uint8Array, target?: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from(PLAIN_HEADER)]
  for (let start = 0; start === 0 || start < content.length; start += STORED_BLOCK_BYTES) {
    const block = content.subarray(start, start + STORED_BLOCK_BYTES)
    const header = new Uint8Array(STORED_BLOCK_HEADER_BYTES)
    header[0] = start + STORED_BLOCK_BYTES >= content.length ? 1 : 0
    viewOf(header).setUint16(1, block.length, true)
    viewOf(header).setUint16(3, ~block.length & 0xffff, true)
    parts.push(header, block)
  }
  parts.push(trailerOf(crc32(content), content.length))
  return joinBytes(parts, target)
}

/** A member of deflate data made elsewhere. */
export function memberOf(deflated: Uint8Array, crc: number, contentBytes: number): Uint8Array {
  return Buffer.concat([Uint8Array.from(PLAIN_HEADER), deflated, trailerOf(crc, contentBytes)])
}

function trailerOf(crc: number, contentBytes: number): Uint8Array {
  const trailer = new Uint8Array(TRAILER_BYTES)
  viewOf(trailer).setUint32(0, crc, true)
  viewOf(trailer).setUint32(4, contentBytes, true)
  return trailer
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
