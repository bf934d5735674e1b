import { createHash } from 'node:crypto'
import { chunkLength, type ChunkReference, SEGMENT_CHUNKS, segmentLength } from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { StoredSize } from './chunk-store.ts'
import { storedMemberLength } from './gzip-member.ts'
import { zeroMember } from './zero-member.ts'

/**
 * How long each chunk of a segment is in the store: the length, Range and ETag of exports follow
 * from it. Four bytes a chunk, little-endian: the stored length, highest bit set for zstd; 0 for a
 * zero or unused chunk.
 */
export type SegmentLayout = Uint8Array

const ENTRY_BYTES = 4
const ZSTD_BIT = 0x8000_0000

export type LayoutEntry =
  | { kind: 'zero' }
  | { kind: 'gzip'; storedBytes: number }
  | { kind: 'zstd'; storedBytes: number }

export function encodeLayout(
  references: readonly ChunkReference[],
  sizes: ReadonlyMap<Sha256, StoredSize>,
): SegmentLayout {
  const layout = new Uint8Array(references.length * ENTRY_BYTES)
  const view = new DataView(layout.buffer)
  references.forEach((reference, index) => {
    if (reference === 'zero' || reference === 'unused') return
    const { codec, storedBytes } = sizes.get(reference)!
    view.setUint32(
      index * ENTRY_BYTES,
      codec === 'zstd' ? storedBytes | ZSTD_BIT : storedBytes,
      true,
    )
  })
  return layout
}

export function layoutEntry(layout: SegmentLayout, index: number): LayoutEntry {
  const view = new DataView(layout.buffer, layout.byteOffset, layout.byteLength)
  const entry = view.getUint32(index * ENTRY_BYTES, true)
  if (entry === 0) return { kind: 'zero' }
  if (entry & ZSTD_BIT) return { kind: 'zstd', storedBytes: (entry & ~ZSTD_BIT) >>> 0 }
  return { kind: 'gzip', storedBytes: entry }
}

/** Bytes of the gzip member that a chunk becomes in an export. */
export function memberLength(entry: LayoutEntry, contentBytes: number): number {
  switch (entry.kind) {
    case 'zero':
      return zeroMember(contentBytes).length
    case 'gzip':
      return entry.storedBytes
    case 'zstd':
      return storedMemberLength(contentBytes)
  }
}

/** Bytes of a segment in an export; without a layout all its chunks are zeros. */
export function segmentExportBytes(
  sizeBytes: number,
  segmentIndex: number,
  layout: SegmentLayout | undefined,
  length: (entry: LayoutEntry, contentBytes: number) => number = memberLength,
): number {
  let exportBytes = 0
  for (let at = 0; at < segmentLength(sizeBytes, segmentIndex); at++) {
    const contentBytes = chunkLength(sizeBytes, segmentIndex * SEGMENT_CHUNKS + at)
    const entry: LayoutEntry = layout ? layoutEntry(layout, at) : { kind: 'zero' }
    exportBytes += length(entry, contentBytes)
  }
  return exportBytes
}

/** Changes whenever an export would have other bytes although the content is the same. */
export function hashLayouts(layouts: Iterable<SegmentLayout | undefined>): Sha256 {
  const hash = createHash('sha256').update(zeroMember(512))
  for (const layout of layouts) hash.update(layout ?? 'zero')
  return parseSha256(hash.digest('hex'))
}
