import { Value } from 'typebox/value'
import {
  HASH_BYTES,
  type Manifest,
  ManifestSchema,
  MAX_MANIFEST_BYTES,
  segmentCount,
  segmentLength,
} from '#protocol/image/image.ts'
import { explainProblems } from '#protocol/schema-problems.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { GZIP_EXPORT, ZSTD_EXPORT } from '../export/export-format.ts'
import { hashLayouts, type SegmentLayout, segmentExportBytes } from '../export/layout.ts'
import { ChunkMissingError, type ChunkStore } from '../store/chunk-store.ts'
import { createSegmentReader } from '../store/segment-reader.ts'
import { checkSegment, type KnownSizes } from './check-segment.ts'
import { ManifestRefusedError } from './manifest-refused.ts'

export { ManifestRefusedError }

/** Chunks that must be stored before the image can be; the first of them if there are many. */
export class ChunksMissingError extends Error {
  override name = 'ChunksMissingError'
  readonly missing: Sha256[]
  constructor(missing: Sha256[]) {
    const lacking = missing.length === 1 ? 'a chunk' : `${missing.length} chunks`
    super(`The store lacks ${lacking} of this image; send what is missing, then the manifest again`)
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
    const [problem] = explainProblems(Value.Errors(ManifestSchema, manifest))
    throw new ManifestRefusedError(`The manifest is not valid: ${problem}`)
  }
  const { sizeBytes, sectorBytes, segments } = manifest
  if (!Number.isSafeInteger(sizeBytes))
    throw new ManifestRefusedError(`The size ${sizeBytes} is more than ${Number.MAX_SAFE_INTEGER}`)
  if (sizeBytes % sectorBytes !== 0)
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
  const known: KnownSizes = new Map()
  const read = createSegmentReader(store)
  const checked: CheckedImage['segments'] = []
  let storedBytes = 0
  let contentBytes = 0
  for (const [index, text] of manifest.segments.entries()) {
    if (text === null) {
      checked.push(undefined)
      continue
    }
    const hash = parseSha256(text)
    const bytes = present.has(hash) ? await readSegment(read, manifest, index, hash) : undefined
    if (!bytes) {
      missing.add(hash)
      continue
    }
    const chunks = await checkSegment(store, bytes, { sizeBytes, index }, { known, missing })
    if (missing.size > MAX_MISSING) break
    if (!chunks) continue
    contentBytes += chunks.contentBytes
    // A chunk that is in several segments may count for each, until the store is counted as a whole.
    storedBytes += present.get(hash)!.storedBytes + chunks.storedBytes
    const { layout } = chunks
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
  read: (hash: Sha256) => Promise<Uint8Array>,
  { sizeBytes }: Manifest,
  index: number,
  hash: Sha256,
): Promise<Uint8Array | undefined> {
  const bytes = await read(hash).catch((err: unknown) => {
    if (err instanceof ChunkMissingError) return undefined
    throw err
  })
  if (!bytes) return undefined
  const expected = segmentLength(sizeBytes, index)
  if (bytes.length !== expected * HASH_BYTES)
    throw new ManifestRefusedError(
      `Segment ${index} must list ${expected} chunks, but chunk "${hash}" has ${bytes.length} bytes`,
    )
  // Equal content must have an equal digest, so there is one way only to say "all zeros".
  if (bytes.every((byte) => byte === 0))
    throw new ManifestRefusedError(`Segment ${index} is all zeros, so the manifest must say null`)
  return bytes
}
