import type { FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/image/image.ts'

/**
 * The content of a file of zstd frames, one after another (RFC 8878, 3.1): Node's own stream ends with the
 * first. None of the server's holds more than a chunk.
 */
const inflate = promisify(zstdDecompress)
const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
/** A frame that does not compress, with the headers of its blocks, and room to spare. */
const MAX_FRAME_BYTES = CHUNK_BYTES + 65_536
const DICTIONARY_BYTES = [0, 1, 2, 4]
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]

/** Throws an Error for what is no such file. */
export async function* readFrames(file: FileHandle): AsyncGenerator<Uint8Array> {
  const { size } = await file.stat()
  const buffer = Buffer.alloc(MAX_FRAME_BYTES)
  for (let at = 0; at < size;) {
    let filled = 0
    while (filled < buffer.length && at + filled < size) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, at + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    const bytes = buffer.subarray(0, filled)
    const length = frameLength(bytes)
    if (bytes.readUInt32LE(0) === FRAME_MAGIC)
      yield await inflate(bytes.subarray(0, length), { maxOutputLength: CHUNK_BYTES })
    at += length
  }
}

function frameLength(bytes: Buffer): number {
  const magic = need(bytes, 0, 4).readUInt32LE(0)
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) return 8 + need(bytes, 4, 4).readUInt32LE(4)
  if (magic !== FRAME_MAGIC) throw new Error('something else than a zstd frame is in it')
  const flags = need(bytes, 4, 1)[4]!
  const isSingle = (flags & 0x20) !== 0
  const sizeFlag = flags >> 6
  const sizeBytes = sizeFlag === 0 && isSingle ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!
  let at = 5 + (isSingle ? 0 : 1) + DICTIONARY_BYTES[flags & 3]! + sizeBytes
  for (let isLast = false; !isLast;) {
    const header = need(bytes, at, 3).readUIntLE(at, 3)
    isLast = (header & 1) !== 0
    const isRepeated = ((header >> 1) & 3) === 1
    at += 3 + (isRepeated ? 1 : header >> 3)
  }
  at += (flags & 4) !== 0 ? 4 : 0
  need(bytes, 0, at)
  return at
}

function need(bytes: Buffer, at: number, count: number): Buffer {
  if (bytes.length < at + count) throw new Error('it was cut short')
  return bytes
}
