import { Value } from 'typebox/value'
import {
  chunkLength,
  type ChunkReference,
  decodeSegment,
  type Manifest,
  ManifestSchema,
  MAX_MANIFEST_BYTES,
  SEGMENT_CHUNKS,
  segmentCount,
  segmentLength,
} from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { readContent } from './chunk-codec.ts'
import { ChunkMissingError, type ChunkStore, type StoredSize } from './chunk-store.ts'
import { GZIP_EXPORT, ZSTD_EXPORT } from './export-format.ts'
import { encodeLayout, hashLayouts, type SegmentLayout, segmentExportBytes } from './layout.ts'
import { hashOfZeros } from './zero-content.ts'

/** A manifest that no image can have, whatever the store holds. */
export class ManifestRefusedError extends Error {
  override name = 'ManifestRefusedError'
}

/** Chunks that must be stored before the image can be; the first of them if there are many. */
export class ChunksMissingError extends Error {
  override name = 'ChunksMissingError'
  readonly missing: Sha256[]
  constructor(missing: Sha256[]) {
    super(`The store lacks ${missing.length} chunks of this image; put them and try again`)
    this.missing = missing
  }
}

/** What the store adds to a manifest whose chunks are all there. */
export type CheckedImage = {
  sizeBytes: number
  sectorBytes: number
  storedBytes: number
  contentBytes: number
  exportBytes: number
  zstdExportBytes: number
  layoutHash: Sha256
  /** One for each segment; undefined where the manifest says null. */
  segments: (CheckedSegment | undefined)[]
}

export type CheckedSegment = {
  /** In the `.img.gz`. */
  exportBytes: number
  /** In the `.img.zst`. */
  zstdExportBytes: number
  layout: SegmentLayout
}

/** As many as one `POST /chunks/missing` may ask for. */
const MAX_MISSING = 4096

/** Throws ManifestRefusedError. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new ManifestRefusedError(`A manifest has at most ${MAX_MANIFEST_BYTES} bytes`)
  const manifest = parseJson(bytes)
  if (!Value.Check(ManifestSchema, manifest)) {
    const [problem] = Value.Errors(ManifestSchema, manifest)
    throw new ManifestRefusedError(
      `The manifest is not valid: ${problem?.instancePath || 'it'} ${problem?.message ?? ''}`.trim(),
    )
  }
  const { sizeBytes, sectorBytes, segments } = manifest
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes % sectorBytes !== 0)
    throw new ManifestRefusedError(
      `The size ${sizeBytes} is no multiple of the sector size ${sectorBytes}`,
    )
  if (segments.length !== segmentCount(sizeBytes))
    throw new ManifestRefusedError(
      `${sizeBytes} bytes are ${segmentCount(sizeBytes)} segments, but the manifest lists ${segments.length}`,
    )
  return manifest
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new ManifestRefusedError('The manifest is not JSON', { cause })
  }
}

/**
 * Looks at every chunk of an image, which touches it. Throws ChunksMissingError,
 * ManifestRefusedError, or an error of the store.
 */
export async function checkImage(store: ChunkStore, manifest: Manifest): Promise<CheckedImage> {
  const { sizeBytes, sectorBytes } = manifest
  const present = await store.touch(
    manifest.segments.filter((hash) => hash !== null).map(parseSha256),
  )
  const missing = new Set<Sha256>()
  const checked: CheckedImage['segments'] = []
  let storedBytes = 0
  let contentBytes = 0
  for (const [index, text] of manifest.segments.entries()) {
    if (text === null) {
      checked.push(undefined)
      continue
    }
    const hash = parseSha256(text)
    const segment = present.has(hash) ? await readSegment(store, manifest, index, hash) : undefined
    if (!segment) {
      missing.add(hash)
      continue
    }
    const sizes = await touchChunks(store, segment, missing)
    if (missing.size > MAX_MISSING) break
    if (missing.size > 0) continue
    contentBytes += checkLengths(sizeBytes, index, segment, sizes)
    storedBytes += present.get(hash)!.storedBytes
    // A chunk in several segments counts for each, until the store is counted as a whole.
    for (const size of sizes.values()) storedBytes += size.storedBytes
    const layout = encodeLayout(segment, sizes)
    checked.push(measureSegment(sizeBytes, index, layout))
  }
  if (missing.size > 0) throw new ChunksMissingError([...missing].slice(0, MAX_MISSING))
  return {
    sizeBytes,
    sectorBytes,
    storedBytes,
    contentBytes,
    ...measureExports(sizeBytes, checked),
    layoutHash: hashLayouts(checked.map((segment) => segment?.layout)),
    segments: checked,
  }
}

export function measureSegment(
  sizeBytes: number,
  index: number,
  layout: SegmentLayout,
): CheckedSegment {
  return {
    exportBytes: segmentExportBytes(sizeBytes, index, layout, GZIP_EXPORT.length),
    zstdExportBytes: segmentExportBytes(sizeBytes, index, layout, ZSTD_EXPORT.length),
    layout,
  }
}

/** Lengths of the whole exports; undefined: a segment of zeros. */
export function measureExports(
  sizeBytes: number,
  segments: readonly (Omit<CheckedSegment, 'layout'> | undefined)[],
): { exportBytes: number; zstdExportBytes: number } {
  const lengths = { exportBytes: GZIP_EXPORT.stampBytes, zstdExportBytes: ZSTD_EXPORT.stampBytes }
  for (const [index, segment] of segments.entries()) {
    lengths.exportBytes +=
      segment?.exportBytes ?? segmentExportBytes(sizeBytes, index, undefined, GZIP_EXPORT.length)
    lengths.zstdExportBytes +=
      segment?.zstdExportBytes ??
      segmentExportBytes(sizeBytes, index, undefined, ZSTD_EXPORT.length)
  }
  return lengths
}

/** Undefined if it vanished. Throws ManifestRefusedError if it is not the segment it should be. */
async function readSegment(
  store: ChunkStore,
  { sizeBytes }: Manifest,
  index: number,
  hash: Sha256,
): Promise<ChunkReference[] | undefined> {
  const bytes = await readContent(store, hash).catch((err: unknown) => {
    if (err instanceof ChunkMissingError) return undefined
    throw err
  })
  if (!bytes) return undefined
  const expected = segmentLength(sizeBytes, index)
  if (bytes.length !== expected * 32)
    throw new ManifestRefusedError(
      `Segment ${index} must list ${expected} chunks, but chunk "${hash}" has ${bytes.length} bytes`,
    )
  const segment = decodeSegment(bytes)
  // Equal content must have an equal digest, so there is one way only to say "all zeros".
  if (segment.every((reference) => reference === 'zero'))
    throw new ManifestRefusedError(`Segment ${index} is all zeros, so the manifest must say null`)
  return segment
}

async function touchChunks(
  store: ChunkStore,
  segment: readonly ChunkReference[],
  missing: Set<Sha256>,
): Promise<Map<Sha256, StoredSize>> {
  const hashes = new Set(segment.filter((reference) => isHash(reference)))
  const sizes = await store.touch([...hashes])
  for (const hash of hashes) if (!sizes.has(hash)) missing.add(hash)
  return sizes
}

function isHash(reference: ChunkReference): reference is Sha256 {
  return reference !== 'zero' && reference !== 'unused'
}

/** Content bytes of a segment. Throws ManifestRefusedError if a chunk has not the length of its place. */
function checkLengths(
  sizeBytes: number,
  segmentIndex: number,
  segment: readonly ChunkReference[],
  sizes: ReadonlyMap<Sha256, StoredSize>,
): number {
  let total = 0
  segment.forEach((reference, at) => {
    if (!isHash(reference)) return
    const index = segmentIndex * SEGMENT_CHUNKS + at
    const expected = chunkLength(sizeBytes, index)
    const actual = sizes.get(reference)!.contentBytes
    if (actual !== expected)
      throw new ManifestRefusedError(
        `Chunk ${index} must have ${expected} bytes, but "${reference}" has ${actual}`,
      )
    if (reference === hashOfZeros(expected))
      throw new ManifestRefusedError(`Chunk ${index} is all zeros, so its segment must say so`)
    total += expected
  })
  return total
}
