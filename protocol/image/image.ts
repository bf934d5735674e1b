import { Type, type Static } from 'typebox'
import { CHUNK_BYTES } from './chunk-size.ts'
import { decodeHex, encodeHex } from '../hex.ts'
import { parseSha256, type Sha256 } from '../sha256.ts'
import { Sha256Text } from '../shapes.ts'

/** The image format: a disk cut at every MiB, its chunks named by their SHA-256. */

export { CHUNK_BYTES }
export const SEGMENT_CHUNKS = 32_768
export const HASH_BYTES = 32
export const MANIFEST_MEDIA_TYPE = 'application/vnd.stampede.image.v1+json'
/** 64 TiB of disk is 2,048 segments of 67 characters: a longer manifest is no manifest. */
export const MAX_MANIFEST_BYTES = 1_048_576

export const ManifestSchema = Type.Object(
  {
    mediaType: Type.Literal(MANIFEST_MEDIA_TYPE),
    sizeBytes: Type.Integer({ minimum: 512 }),
    sectorBytes: Type.Union([Type.Literal(512), Type.Literal(4096)]),
    chunkBytes: Type.Literal(CHUNK_BYTES),
    segmentChunks: Type.Literal(SEGMENT_CHUNKS),
    segments: Type.Array(Type.Union([Sha256Text, Type.Null()])),
  },
  { additionalProperties: false },
)
export type Manifest = Static<typeof ManifestSchema>

/**
 * What a chunk of an image is: content with a name, zeros, or free space of a known file system
 * whose content does not matter.
 */
export type ChunkReference = Sha256 | 'zero' | 'unused'

/** Whether the store has content for it. */
export function isStored(reference: ChunkReference): reference is Sha256 {
  return reference !== 'zero' && reference !== 'unused'
}

export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / CHUNK_BYTES)
}

export function segmentCount(sizeBytes: number): number {
  return Math.ceil(chunkCount(sizeBytes) / SEGMENT_CHUNKS)
}

/** Length of chunk `index`: 1 MiB, the last one possibly shorter. */
export function chunkLength(sizeBytes: number, index: number): number {
  return Math.min(CHUNK_BYTES, sizeBytes - index * CHUNK_BYTES)
}

/** How many chunks segment `index` lists. */
export function segmentLength(sizeBytes: number, index: number): number {
  return Math.min(SEGMENT_CHUNKS, chunkCount(sizeBytes) - index * SEGMENT_CHUNKS)
}

/** The bytes of a segment: 32 per chunk in disk order, 00… for zeros and FF… for unused. */
export function encodeSegment(references: readonly ChunkReference[]): Uint8Array {
  const bytes = new Uint8Array(references.length * HASH_BYTES)
  references.forEach((reference, index) => {
    const hash = bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
    if (reference === 'unused') hash.fill(0xff)
    else if (reference !== 'zero') hash.set(decodeHex(reference))
  })
  return bytes
}

/** Throws TypeError if the length is not that of a segment. */
export function decodeSegment(bytes: Uint8Array): ChunkReference[] {
  if (bytes.length === 0 || bytes.length % HASH_BYTES !== 0 || bytes.length > CHUNK_BYTES)
    throw new TypeError(`A segment is 1 to 32,768 hashes of 32 bytes, not ${bytes.length} bytes`)
  const references: ChunkReference[] = []
  for (let offset = 0; offset < bytes.length; offset += HASH_BYTES)
    references.push(decodeReference(bytes.subarray(offset, offset + HASH_BYTES)))
  return references
}

function decodeReference(hash: Uint8Array): ChunkReference {
  const [first] = hash
  // Of nearly all hashes the first byte tells.
  if (first === 0 && hash.every((byte) => byte === 0)) return 'zero'
  if (first === 0xff && hash.every((byte) => byte === 0xff)) return 'unused'
  return parseSha256(encodeHex(hash))
}

/** The bytes that are stored, served and hashed; whoever reads a manifest never writes it again. */
export function encodeManifest(
  content: Pick<Manifest, 'sizeBytes' | 'sectorBytes' | 'segments'>,
): Uint8Array {
  const { sizeBytes, sectorBytes, segments } = content
  const manifest: Manifest = {
    mediaType: MANIFEST_MEDIA_TYPE,
    sizeBytes,
    sectorBytes,
    chunkBytes: CHUNK_BYTES,
    segmentChunks: SEGMENT_CHUNKS,
    segments,
  }
  return new TextEncoder().encode(JSON.stringify(manifest))
}
