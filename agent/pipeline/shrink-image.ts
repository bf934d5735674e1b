import {
  CHUNK_BYTES,
  SEGMENT_CHUNKS,
  chunkCount,
  chunkLength,
  decodeSegment,
  encodeManifest,
  encodeSegment,
  segmentCount,
  segmentLength,
  type ChunkReference,
  type Manifest,
  isStored,
} from '#protocol/image/image.ts'
import type { DiskWrite } from '#protocol/disk/gpt.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { isZero, sha256 } from '../chunks/content.ts'
import { parseManifest } from '../chunks/manifest.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'

export interface ShrunkImage {
  manifest: Manifest
  /** Of the manifest: of the content as it is on the smaller disk. */
  digest: Sha256
  /** Reads this image: what differs is in memory, all else comes from the server. */
  chunks: ChunkClient
}

/**
 * The image that a smaller disk gets: cut at the disk's end, with `writes` in it. It is an image like any
 * other, so that all that writes and proves images works on it unchanged, and by hashes of its own.
 */
export async function shrinkImage(
  { manifest, chunks }: { manifest: Manifest; chunks: ChunkClient },
  { diskBytes, writes }: { diskBytes: number; writes: readonly DiskWrite[] },
  signal: AbortSignal,
): Promise<ShrunkImage> {
  const own = new Map<Sha256, Uint8Array>()
  const keep = (bytes: Uint8Array): Sha256 => {
    const hash = sha256(bytes)
    own.set(hash, bytes)
    return hash
  }
  const changed = changedChunks(diskBytes, writes)
  const last = segmentCount(diskBytes) - 1
  const segments = manifest.segments.slice(0, last + 1)
  for (const number of new Set([...changed.map(segmentOf), last])) {
    const references = await cutSegment(manifest, number, diskBytes, chunks, signal)
    for (const index of changed.filter((one) => segmentOf(one) === number)) {
      const at = index % SEGMENT_CHUNKS
      const content = await changedContent(references[at]!, index)
      references[at] = isZero(content) ? 'zero' : keep(content)
    }
    const isEmpty = references.every((reference) => reference === 'zero')
    segments[number] = isEmpty ? null : keep(encodeSegment(references))
  }
  const { sectorBytes } = manifest
  const bytes = encodeManifest({ sizeBytes: diskBytes, sectorBytes, segments })
  return { manifest: parseManifest(bytes), digest: sha256(bytes), chunks: withOwn(chunks, own) }

  async function changedContent(reference: ChunkReference, index: number): Promise<Buffer> {
    const content = Buffer.alloc(chunkLength(diskBytes, index))
    if (isStored(reference))
      content.set((await chunks.read(reference, signal)).subarray(0, content.length))
    for (const write of writes) lay(content, index * CHUNK_BYTES, write)
    return content
  }
}

function segmentOf(index: number): number {
  return Math.floor(index / SEGMENT_CHUNKS)
}

/** Those that a write touches, and the last one if the disk ends within it. */
function changedChunks(diskBytes: number, writes: readonly DiskWrite[]): number[] {
  const changed = new Set<number>()
  for (const { offsetBytes, bytes } of writes) {
    const end = Math.ceil((offsetBytes + bytes.length) / CHUNK_BYTES)
    for (let index = Math.floor(offsetBytes / CHUNK_BYTES); index < end; index++) changed.add(index)
  }
  if (diskBytes % CHUNK_BYTES !== 0) changed.add(chunkCount(diskBytes) - 1)
  return [...changed]
}

async function cutSegment(
  { sizeBytes, segments }: Manifest,
  number: number,
  diskBytes: number,
  chunks: ChunkClient,
  signal: AbortSignal,
): Promise<ChunkReference[]> {
  const length = segmentLength(diskBytes, number)
  const hash = segments[number]
  if (hash === null || hash === undefined) return Array.from({ length }, () => 'zero')
  const references = decodeSegment(await chunks.read(parseSha256(hash), signal))
  if (references.length !== segmentLength(sizeBytes, number))
    throw new TypeError(
      `Segment ${hash} lists ${references.length} chunks, not as its image's size says`,
    )
  return references.slice(0, length)
}

/** Puts the part of a write that belongs to it into a chunk that starts at byte `start`. */
function lay(content: Buffer, start: number, { offsetBytes, bytes }: DiskWrite): void {
  const from = Math.max(offsetBytes, start)
  const to = Math.min(offsetBytes + bytes.length, start + content.length)
  if (from < to) content.set(bytes.subarray(from - offsetBytes, to - offsetBytes), from - start)
}

function withOwn(chunks: ChunkClient, own: ReadonlyMap<Sha256, Uint8Array>): ChunkClient {
  return {
    ...chunks,
    async read(hash, signal) {
      const bytes = own.get(hash)
      return bytes ? Uint8Array.from(bytes) : await chunks.read(hash, signal)
    },
    async readInto(hash, chunk, signal) {
      const bytes = own.get(hash)
      if (!bytes) return await chunks.readInto(hash, chunk, signal)
      chunk.set(bytes)
      return bytes.length
    },
  }
}
