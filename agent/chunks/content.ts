import { hash as digestOf } from 'node:crypto'
import { CHUNK_BYTES } from '#protocol/image/chunk-size.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'

const ZEROS = Buffer.alloc(CHUNK_BYTES)

/** On this thread: for what is small, or rare. Chunks of a disk are hashed by the chunk pool. */
export function sha256(bytes: Uint8Array): Sha256 {
  return parseSha256(digestOf('sha256', bytes, 'hex'))
}

/** Of a chunk at most; compared with zeros in one call, which is faster than looking at bytes. */
export function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length))
}
