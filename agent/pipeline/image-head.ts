import { CHUNK_BYTES, decodeSegment, type Manifest, isStored } from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'

/** The first chunk of an image, where its partition table is. */
export async function imageHead(
  chunks: ChunkClient,
  manifest: Manifest,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const [segment] = manifest.segments
  const reference = segment
    ? decodeSegment(await chunks.read(parseSha256(segment), signal))[0]
    : 'zero'
  if (reference === undefined || !isStored(reference)) return new Uint8Array(CHUNK_BYTES)
  return await chunks.read(reference, signal)
}
