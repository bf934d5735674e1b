import { decodeHex, encodeHex } from '#protocol/hex.ts'
import { HASH_BYTES } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { decodeMemberHeader, emptyMember, MemberDecodeError } from '../codec/gzip-member.ts'

/**
 * What the first, empty member of an export says of all that follows: a gzip file cut between two
 * members is a valid shorter one, and nothing else would tell.
 */
export type ExportStamp = { digest: Sha256; sizeBytes: number }

const SUBFIELD = 'ST'
const STAMP_BYTES = HASH_BYTES + 8
/** A gzip header with our subfield and no file name. */
export const STAMP_HEAD_BYTES = 10 + 2 + 4 + STAMP_BYTES

export function encodeStamp({ digest, sizeBytes }: ExportStamp): Uint8Array {
  const stamp = Buffer.alloc(STAMP_BYTES)
  stamp.set(decodeHex(digest))
  stamp.writeBigUInt64LE(BigInt(sizeBytes), HASH_BYTES)
  return emptyMember(SUBFIELD, stamp)
}

/** Undefined if a gzip file that begins with `head` is none of our exports. */
export function findStamp(head: Uint8Array): ExportStamp | undefined {
  try {
    const stamp = decodeMemberHeader(head).extra.get(SUBFIELD)
    if (stamp?.length !== STAMP_BYTES) return undefined
    const digest = parseSha256(encodeHex(stamp.subarray(0, HASH_BYTES)))
    return { digest, sizeBytes: Number(Buffer.from(stamp).readBigUInt64LE(HASH_BYTES)) }
  } catch (err) {
    if (err instanceof MemberDecodeError) return undefined
    throw err
  }
}
