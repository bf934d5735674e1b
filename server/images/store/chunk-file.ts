import { CHUNK_BYTES, LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { parseSha256, type Sha256, SHA256_PATTERN } from '#protocol/sha256.ts'
import { statedLength } from '../codec/gzip-member.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES, FrameDecodeError } from '../codec/zstd-frame.ts'
import { codecOf } from './chunk-codec.ts'
import type { ChunkForm, Codec, StoredSize } from './chunk-store.ts'

/** The files of a directory store: their names, and what can be told without inflating them. */

export const CODECS = ['gzip', 'zstd'] as const
const EXTENSIONS: Record<Codec, string> = { gzip: '.gz', zstd: '.zst' }
const FILE_NAME_LENGTH = 62
/** Magic, header, an empty block, trailer: nothing shorter is a whole chunk. */
const SHORTEST_BYTES: Record<Codec, number> = { gzip: 20, zstd: 9 }
/** The length of the content, RFC 1952, section 2.3.1. */
const TRAILER_BYTES = 4

export type NamedFile = {
  hash: Sha256
  codec: Codec
  /** Its length, if the file is a form that was replaced. */
  replacedBytes: number | undefined
}

/** Without the folder of the first two digits. */
export function fileName(hash: Sha256, codec: Codec): string {
  return hash.slice(2) + EXTENSIONS[codec]
}

export function replacedName(hash: Sha256, { codec, storedBytes }: ChunkForm): string {
  return `${fileName(hash, codec)}~${storedBytes}`
}

/** In the order of their hashes; whatever else lies in the folder is not ours to touch. */
export function chunkFiles(prefix: string, names: readonly string[]): NamedFile[] {
  return names.toSorted().flatMap((name) => {
    const text = prefix + name.slice(0, FILE_NAME_LENGTH)
    const [extension, length, ...more] = name.slice(FILE_NAME_LENGTH).split('~')
    const codec = CODECS.find((each) => EXTENSIONS[each] === extension)
    if (!codec || more.length > 0 || !new RegExp(SHA256_PATTERN).test(text)) return []
    if (length !== undefined && !/^\d+$/.test(length)) return []
    return { hash: parseSha256(text), codec, replacedBytes: length && Number(length) } as NamedFile
  })
}

/** Whether bytes that a file of this codec holds can be a whole chunk. */
export function isChunk(bytes: Uint8Array, codec: Codec): boolean {
  return codecOf(bytes) === codec && bytes.length >= SHORTEST_BYTES[codec]
}

/** Whether the stored bytes are those, as far as codec and length tell. */
export function isForm(bytes: Uint8Array, { codec, storedBytes }: ChunkForm): boolean {
  return bytes.length === storedBytes && codecOf(bytes) === codec
}

/** Whether a whole chunk of this codec can have so many bytes. */
export function isChunkLength(storedBytes: number, codec: Codec): boolean {
  return storedBytes >= SHORTEST_BYTES[codec] && storedBytes <= LONGEST_STORED_BYTES
}

/** What a whole chunk says of its content's length; undefined if it does not say. */
export function contentBytesOf(chunk: Uint8Array, codec: Codec): number | undefined {
  return codec === 'gzip' ? statedLength(chunk.subarray(-4)) : frameContent(chunk)
}

/** What a file of this length is, by its first bytes and its last; undefined if it cannot be a whole chunk. */
export function sizeOf(
  storedBytes: number,
  codec: Codec,
  readAt: (buffer: Uint8Array, offset: number) => void,
): StoredSize | undefined {
  if (!isChunkLength(storedBytes, codec)) return undefined
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  readAt(head, 0)
  if (codecOf(head) !== codec) return undefined
  const trailer = Buffer.alloc(TRAILER_BYTES)
  if (codec === 'gzip') readAt(trailer, storedBytes - TRAILER_BYTES)
  const contentBytes = codec === 'gzip' ? statedLength(trailer) : frameContent(head)
  if (contentBytes === undefined || contentBytes > CHUNK_BYTES) return undefined
  return { codec, storedBytes, contentBytes }
}

function frameContent(head: Uint8Array): number | undefined {
  try {
    return decodeFrameHeader(head).contentBytes
  } catch (err) {
    if (err instanceof FrameDecodeError) return undefined
    throw err
  }
}
