import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { zstdDecompressSync, gunzipSync } from 'node:zlib'
import type { ApiClient } from '#lab/api-client.ts'
import { CHUNK_BYTES, chunkLength, decodeSegment, type Manifest } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { sha256 } from '#test/support/disk-content.ts'

const HEADS_AT_ONCE = 16

/** A chunk with content, and where the image has it. */
export interface PlacedChunk {
  place: number
  hash: Sha256
}

export interface StoredImage {
  sizeBytes: number
  data: PlacedChunk[]
}

/** What an image of a single segment consists of, from the server as an agent asks it. */
export async function readStoredImage(api: ApiClient, name: string): Promise<StoredImage> {
  const { digest } = await api.get<{ digest: string }>(`/api/images/${name}`)
  const { sizeBytes, segments } = await api.get<Manifest>(`/images/by-digest/${digest}`)
  assert.equal(segments.length, 1)
  const answer = await ask(api, 'GET', parseSha256(segments[0]!))
  const stored = Buffer.from(await answer.arrayBuffer())
  const isZstd = answer.headers.get('content-type')?.includes('zstd')
  const references = decodeSegment(isZstd ? zstdDecompressSync(stored) : gunzipSync(stored))
  const data = references.flatMap((hash, place) =>
    hash === 'zero' || hash === 'unused' ? [] : [{ place, hash }],
  )
  return { sizeBytes, data }
}

/** Those that a disk holds where the image has them. */
export async function findHeld(file: string, image: StoredImage): Promise<PlacedChunk[]> {
  await using disk = await open(file)
  const buffer = Buffer.alloc(CHUNK_BYTES)
  const held: PlacedChunk[] = []
  for (const chunk of image.data) {
    const bytes = buffer.subarray(0, chunkLength(image.sizeBytes, chunk.place))
    await disk.read(bytes, 0, bytes.length, chunk.place * CHUNK_BYTES)
    if (sha256(bytes) === chunk.hash) held.push(chunk)
  }
  return held
}

/** What they take in the store, and on the wire, each as often as it is there. */
export async function storedLength(api: ApiClient, chunks: PlacedChunk[]): Promise<number> {
  let bytes = 0
  for (let start = 0; start < chunks.length; start += HEADS_AT_ONCE) {
    const some = chunks.slice(start, start + HEADS_AT_ONCE)
    const answers = await Promise.all(some.map(({ hash }) => ask(api, 'HEAD', hash)))
    for (const { headers } of answers) bytes += Number(headers.get('content-length'))
  }
  return bytes
}

async function ask({ url, token }: ApiClient, method: string, hash: Sha256) {
  const headers = { authorization: `Bearer ${token}` }
  const answer = await fetch(new URL(`/chunks/${hash}`, url), { method, headers })
  assert.equal(answer.status, 200, `${method} ${hash}`)
  return answer
}
