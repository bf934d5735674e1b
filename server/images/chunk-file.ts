import fs, { constants } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { CHUNK_BYTES } from '#protocol/image.ts'
import { parseSha256, type Sha256, SHA256_PATTERN } from '#protocol/sha256.ts'
import { readCached } from './cached-read.ts'
import { codecOf } from './chunk-codec.ts'
import type { ChunkForm, Codec, StoredSize } from './chunk-store.ts'
import { statedLength } from './gzip-member.ts'
import { decodeFrameHeader, FRAME_HEADER_BYTES, FrameDecodeError } from './zstd-frame.ts'

/** The files of a directory store: their names, and what can be told without inflating them. */

export const CODECS = ['gzip', 'zstd'] as const
const EXTENSIONS: Record<Codec, string> = { gzip: '.gz', zstd: '.zst' }
const FILE_NAME_LENGTH = 62
/** Magic, header, an empty block, trailer: nothing shorter is a whole chunk. */
const SHORTEST_BYTES: Record<Codec, number> = { gzip: 20, zstd: 9 }
/** 1 MiB that does not compress becomes barely longer. */
const LONGEST_BYTES = CHUNK_BYTES + 65_536
/** What file systems want of addresses, offsets and lengths for O_DIRECT. */
const ALIGNMENT = 4096

/** The one thing in Node whose memory begins at a page. */
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: SharedMemory } }).WebAssembly
type SharedMemory = new (pages: { initial: number; maximum: number; shared: true }) => {
  buffer: SharedArrayBuffer
}

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
  return storedBytes >= SHORTEST_BYTES[codec] && storedBytes <= LONGEST_BYTES
}

/** What a whole chunk says of its content's length; undefined if it does not say. */
export function contentBytesOf(chunk: Uint8Array, codec: Codec): number | undefined {
  return codec === 'gzip' ? statedLength(chunk.subarray(-4)) : frameContent(chunk)
}

/** Throws as `open` and `read` do. */
export async function readWhole(
  path: string,
  buffer: Uint8Array | undefined,
  fromMedium = false,
): Promise<Uint8Array> {
  if (fromMedium) return await readDirect(path, buffer)
  if (!buffer) return await readFile(path)
  const length = readCached(path, buffer)
  return length === undefined ? await readQuickly(path, buffer) : buffer.subarray(0, length)
}

/**
 * With the calls that take callbacks: for a chunk out of the page cache, the handles and promises
 * of the others take as long as everything else.
 */
function readQuickly(path: string, buffer: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    fs.open(path, 'r', (err, fd) => {
      if (err) return reject(err)
      let length = 0
      const end = (failure: Error | null) => {
        fs.closeSync(fd) // nothing waits for a medium here, so it needs no thread
        if (failure) reject(failure)
        else resolve(buffer.subarray(0, length))
      }
      const next = () =>
        fs.read(fd, buffer, length, buffer.length - length, length, (failure, bytesRead) => {
          if (failure) return end(failure)
          length += bytesRead
          if (isWholeRead(bytesRead, length, buffer)) end(null)
          else next()
        })
      next()
    })
  })
}

/**
 * A whole chunk is shorter than the buffer: what fills it is found to be none. Nothing follows a short
 * read of a file but its end; for O_DIRECT what is left is not aligned.
 */
function isWholeRead(bytesRead: number, length: number, buffer: Uint8Array): boolean {
  return bytesRead === 0 || length === buffer.length || length % ALIGNMENT !== 0
}

async function readInto(file: FileHandle, buffer: Uint8Array): Promise<Uint8Array> {
  for (let length = 0; ;) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
    length += bytesRead
    if (isWholeRead(bytesRead, length, buffer)) return buffer.subarray(0, length)
  }
}

/** A page-aligned buffer for one reader at a time. */
export function alignedBuffer(): Uint8Array<SharedArrayBuffer> {
  const pages = Math.ceil((LONGEST_BYTES + ALIGNMENT) / 65_536)
  return new Uint8Array(new Memory({ initial: pages, maximum: pages, shared: true }).buffer)
}

/** With O_DIRECT, which some file systems lack: then as ever. `buffer` must be an aligned one. */
async function readDirect(path: string, buffer: Uint8Array = alignedBuffer()): Promise<Uint8Array> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_DIRECT)
    return await readInto(file, buffer)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EINVAL') throw err
    await using file = await open(path, 'r')
    return await readInto(file, buffer)
  }
}

/** Undefined if the file cannot be a whole chunk. */
export async function sizeOf(file: FileHandle, codec: Codec): Promise<StoredSize | undefined> {
  const { size: storedBytes } = await file.stat()
  if (!isChunkLength(storedBytes, codec)) return undefined
  const head = Buffer.alloc(FRAME_HEADER_BYTES)
  await file.read(head, 0, head.length, 0)
  if (codecOf(head) !== codec) return undefined
  const contentBytes = codec === 'gzip' ? await trailerOf(file, storedBytes) : frameContent(head)
  if (contentBytes === undefined || contentBytes > CHUNK_BYTES) return undefined
  return { codec, storedBytes, contentBytes }
}

async function trailerOf(file: FileHandle, storedBytes: number): Promise<number> {
  const trailer = Buffer.alloc(4)
  await file.read(trailer, 0, 4, storedBytes - 4)
  return statedLength(trailer)
}

function frameContent(head: Uint8Array): number | undefined {
  try {
    return decodeFrameHeader(head).contentBytes
  } catch (err) {
    if (err instanceof FrameDecodeError) return undefined
    throw err
  }
}
