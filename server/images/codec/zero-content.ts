import { createHash } from 'node:crypto'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'

const ZEROS = Buffer.alloc(CHUNK_BYTES)

/** `bytes` of 1 MiB at most; stops at the first byte that is not zero. */
export function isZero(bytes: Uint8Array): boolean {
  return ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0
}

const hashes = new Map<number, Sha256>()

/** The hash that a chunk of zeros would have if it were stored; no manifest may list it. */
export function hashOfZeros(contentBytes: number): Sha256 {
  let hash = hashes.get(contentBytes)
  if (!hash) {
    const zeros = ZEROS.subarray(0, contentBytes)
    hash = parseSha256(createHash('sha256').update(zeros).digest('hex'))
    hashes.set(contentBytes, hash)
  }
  return hash
}
