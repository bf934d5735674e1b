import { decodeHex, encodeHex } from '#protocol/hex.ts'
import { HASH_BYTES } from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { SKIPPABLE_HEADER_BYTES, skippableFrame, skippableLength } from '../codec/plain-frame.ts'
import type { ExportStamp } from './export-stamp.ts'

/**
 * The same as the stamp of a gzip export, in a frame that every zstd decoder passes over: one cut
 * between two frames is a valid shorter file too.
 */

const MARK = Buffer.from('STAMPEDE')
const CONTENT_BYTES = MARK.length + HASH_BYTES + 8
export const FRAME_STAMP_BYTES = SKIPPABLE_HEADER_BYTES + CONTENT_BYTES

export function encodeFrameStamp({ digest, sizeBytes }: ExportStamp): Uint8Array {
  const content = Buffer.alloc(CONTENT_BYTES)
  content.set(MARK)
  content.set(decodeHex(digest), MARK.length)
  content.writeBigUInt64LE(BigInt(sizeBytes), MARK.length + HASH_BYTES)
  return skippableFrame(content)
}

/** Undefined if a zstd file that begins with `head` is none of our exports. */
export function findFrameStamp(head: Uint8Array): ExportStamp | undefined {
  if (skippableLength(head) !== CONTENT_BYTES || head.length < FRAME_STAMP_BYTES) return undefined
  const content = Buffer.from(head.subarray(SKIPPABLE_HEADER_BYTES, FRAME_STAMP_BYTES))
  if (!content.subarray(0, MARK.length).equals(MARK)) return undefined
  const digest = content.subarray(MARK.length, MARK.length + HASH_BYTES)
  return {
    digest: parseSha256(encodeHex(digest)),
    sizeBytes: Number(content.readBigUInt64LE(MARK.length + HASH_BYTES)),
  }
}
