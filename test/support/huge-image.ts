import { zstdCompressSync } from 'node:zlib'
import { CHUNK_BYTES, HASH_BYTES, SEGMENT_CHUNKS, encodeManifest } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { sha256 } from './disk-content.ts'

/** As many as make every segment another one, and are soon sent. */
const DISTINCT_CHUNKS = 64

type Put = (path: string, body: Uint8Array) => Promise<void>

/**
 * Sends the chunks and segments of an image of 32,768 chunks a segment, of which few are distinct, and
 * returns its manifest: as much work as any of its size, without the terabytes.
 */
export async function putHugeImage(put: Put, segmentCount: number): Promise<Uint8Array> {
  const hashes: Buffer[] = []
  for (let index = 0; index < DISTINCT_CHUNKS; index++)
    hashes.push(
      Buffer.from(await putChunk(put, Buffer.alloc(CHUNK_BYTES, `chunk ${index} `)), 'hex'),
    )
  const segments: Sha256[] = []
  for (let number = 0; number < segmentCount; number++) {
    const segment = Buffer.alloc(SEGMENT_CHUNKS * HASH_BYTES)
    for (let at = 0; at < SEGMENT_CHUNKS; at++)
      hashes[(at * 7 + number) % DISTINCT_CHUNKS]!.copy(segment, at * HASH_BYTES)
    hashes[Math.floor(number / DISTINCT_CHUNKS)]!.copy(segment, 0)
    segments.push(await putChunk(put, segment))
  }
  const sizeBytes = segmentCount * SEGMENT_CHUNKS * CHUNK_BYTES
  return encodeManifest({ sizeBytes, sectorBytes: 512, segments })
}

async function putChunk(put: Put, content: Buffer): Promise<Sha256> {
  const hash = sha256(content)
  await put(`/chunks/${hash}`, zstdCompressSync(content, { pledgedSrcSize: content.length }))
  return parseSha256(hash)
}
