import { createHash } from 'node:crypto'
import {
  chunkLength,
  type ChunkReference,
  SEGMENT_CHUNKS,
  segmentLength,
  isStored,
} from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { storedMemberLength } from '../codec/gzip-member.ts'
import { zeroMember } from '../codec/zero-member.ts'
import type { ChunkForm, StoredSize } from '../store/chunk-store.ts'

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
  references.forEach((reference, index) => {
    if (isStored(reference)) writeEntry(layout, index, sizes.get(reference)!)
  })
  return layout
}

function writeEntry(layout: Uint8Array, index: number, { codec, storedBytes }: ChunkForm): void {
  const view = new DataView(layout.buffer, layout.byteOffset, layout.byteLength)
  const entry = codec === 'zstd' ? storedBytes | ZSTD_BIT : storedBytes
  view.setUint32(index * ENTRY_BYTES, entry, true)
}

export function layoutEntry(layout: SegmentLayout, index: number): LayoutEntry {
  const view = new DataView(layout.buffer, layout.byteOffset, layout.byteLength)
  const entry = view.getUint32(index * ENTRY_BYTES, true)
  if (entry === 0) return { kind: 'zero' }
  if (entry & ZSTD_BIT) return { kind: 'zstd', storedBytes: (entry & ~ZSTD_BIT) >>> 0 }
  return { kind: 'gzip', storedBytes: entry }
}

/**
 * The layout with the chunks of a segment in these forms, and by how much they grew; undefined if none
 * of it changes. A chunk that is more than once in the segment counts as often.
 */
export function patchLayout(
  layout: SegmentLayout,
  references: readonly ChunkReference[],
  forms: ReadonlyMap<Sha256, ChunkForm>,
): { layout: SegmentLayout; grownBytes: number } | undefined {
  let patched: Uint8Array | undefined
  let grownBytes = 0
  for (const [index, reference] of references.entries()) {
    const form = isStored(reference) ? forms.get(reference) : undefined
    const entry = form && layoutEntry(layout, index)
    if (!form || !entry || entry.kind === 'zero') continue
    if (entry.kind === form.codec && entry.storedBytes === form.storedBytes) continue
    grownBytes += form.storedBytes - entry.storedBytes
    patched ??= layout.slice()
    writeEntry(patched, index, form)
  }
  return patched && { layout: patched, grownBytes }
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
