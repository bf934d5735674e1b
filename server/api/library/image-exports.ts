import { randomUUID } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { type ChunkReference, decodeSegment } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { countDamage } from '#server/db/images/damage-count.ts'
import type { Database } from '#server/db/database.ts'
import { findManifest } from '#server/db/images/image-queries.ts'
import {
  currentRows,
  findExport,
  getLayout,
  type ManifestExport,
  saveZstdLengths,
} from '#server/db/images/image-layouts.ts'
import { closeUpload, exportHolder, touchUpload } from '#server/db/images/uploads.ts'
import { measureExports, measureSegment, parseManifest } from '#server/images/commit/check-image.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import { type ChunkStore, isLost } from '#server/images/store/chunk-store.ts'
import { type ExportFormat, GZIP_EXPORT } from '#server/images/export/export-format.ts'
import type { DiskContent } from '#server/images/export/disk-content.ts'
import type { DiskFormat } from '#server/images/export/disk-format.ts'
import { exportImage } from '#server/images/export/export-image.ts'
import { readParts } from '#server/images/export/export-parts.ts'
import { segmentExportBytes } from '#server/images/export/layout.ts'
import { ConflictError } from '../http/errors.ts'
import { createSharedReads } from '#server/images/store/shared-reads.ts'
import { createWrappedChunks } from '#server/images/export/wrapped-chunks.ts'
import { createSharedCalls } from '../http/shared-calls.ts'

export interface OpenedExport {
  format: Pick<ExportFormat, 'suffix' | 'mediaType'>
  totalBytes: number
  /** Changes with the bytes, not with the content alone. */
  etag: string
  read: (range: { start: number; end: number }) => AsyncGenerator<Uint8Array>
  /** The same bytes in memory that is used again: each piece is good until the next is asked for. */
  lend: (range: { start: number; end: number }) => AsyncGenerator<Uint8Array>
}

export interface ImageExports {
  find: (digest: Sha256, format?: ExportFormat | DiskFormat) => Promise<OpenedExport | undefined>
  /** The disk itself, for who reads here and there; its chunks stay until it is disposed. */
  openDisk: (digest: Sha256) => Promise<(DiskContent & AsyncDisposable) | undefined>
  /** What goes out at the moment: its chunks must stay. */
  digests(): Sha256[]
  /** When the oldest that still goes out began; what was replaced since must stay. */
  oldestStart(): Date | undefined
}

export interface ImageExportsOptions {
  db: Database
  store: ChunkStore
  log: FastifyBaseLogger
  /** A chunk was found that is not what its image says of it, or missed. */
  onDamaged?: ((hash: Sha256, reason: string) => void) | undefined
  /** How many chunks an image lacks; absent: as far as it is known. */
  lacking?: ((digest: Sha256) => Promise<number>) | undefined
}

/** Other servers on the database are told of exports that take longer than this, again and again. */
const TELL_MILLISECONDS = 60_000

/** Exports keep the lengths that they began with, whatever becomes of the forms of their chunks. */
export function createImageExports({
  db,
  store,
  log,
  onDamaged,
  lacking = async (digest) => (await countDamage(db, [digest])).get(digest) ?? 0,
}: ImageExportsOptions): ImageExports {
  const lender = { reads: createSharedReads(store), wrapped: createWrappedChunks() }
  const open = new Set<{ digest: Sha256; startedAt: Date }>()
  const lacks = createSharedCalls<number>()
  const lookups = createSharedCalls<ManifestExport | undefined>()
  const layouts = createSharedCalls<Uint8Array>()
  const segments = createSharedCalls<readonly ChunkReference[]>()

  function loadSegment(hash: Sha256): Promise<readonly ChunkReference[]> {
    return segments(hash, async () => decodeSegment(await readContent(store, hash)))
  }

  function hold(digest: Sha256): AsyncDisposable {
    const startedAt = new Date()
    const entry = { digest, startedAt }
    const holder = exportHolder(digest, randomUUID())
    let isTold = false
    const telling = setInterval(() => {
      isTold = true
      touchUpload(db, holder, new Date(), startedAt).catch((err: unknown) =>
        log.warn({ err, digest }, 'Export could not be told to other servers'),
      )
    }, TELL_MILLISECONDS)
    open.add(entry)
    return {
      async [Symbol.asyncDispose]() {
        open.delete(entry)
        clearInterval(telling)
        if (!isTold) return
        // Whoever reads has got everything by now; others forget it by themselves after a while.
        await closeUpload(db, holder).catch((err: unknown) =>
          log.warn({ err, digest }, 'The end of an export could not be told to other servers'),
        )
      },
    }
  }

  async function* held(
    digest: Sha256,
    content: AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array> {
    await using _held = hold(digest)
    try {
      yield* content
    } catch (err) {
      if (isLost(err)) onDamaged?.(err.hash, err.message)
      throw err
    }
  }

  async function findDisk(digest: Sha256): Promise<DiskContent | undefined> {
    const bytes = await findManifest(db, digest)
    if (!bytes) return undefined
    const { sizeBytes, segments } = parseManifest(bytes)
    return {
      store,
      sizeBytes,
      segments: segments.map((hash) => (hash === null ? null : parseSha256(hash))),
    }
  }

  async function findDiskExport(
    digest: Sha256,
    format: DiskFormat,
  ): Promise<OpenedExport | undefined> {
    const disk = await findDisk(digest)
    if (!disk) return undefined
    const { totalBytes, parts } = await format.open(digest, disk)
    const read: OpenedExport['read'] = (range) => held(digest, readParts(parts(range.start), range))
    return {
      format,
      totalBytes,
      etag: `"${digest}-${format.tag}"`,
      read,
      lend: read,
    }
  }

  async function find(digest: Sha256): Promise<ManifestExport | undefined> {
    const found = await findExport(db, digest)
    if (!found || found.zstdExportBytes !== null) return found
    await measureOld(found)
    return await findExport(db, digest)
  }

  /** An image from before there was this format. */
  async function measureOld({ digest, sizeBytes, manifest, generation }: ManifestExport) {
    const rows = await currentRows(db, digest)
    const measured = parseManifest(manifest).segments.map((_, index) => {
      const row = rows.get(index)
      return row && measureSegment(sizeBytes, index, row.layout)
    })
    const total = measureExports(sizeBytes, measured).zstdExportBytes
    const segments = new Map(
      measured.flatMap((row, index) => (row ? [[index, row.zstdExportBytes]] : [])),
    )
    await saveZstdLengths(db, digest, generation, { total, segments })
  }

  return {
    async find(digest, format = GZIP_EXPORT) {
      const chunks = await lacks(digest, () => lacking(digest))
      // Better than a file that ends in the middle, or a disk that was erased for half of one.
      if (chunks > 0)
        throw new ConflictError(
          `The image lacks ${chunks === 1 ? 'a chunk' : `${chunks} chunks`} that the store has lost; capture or upload its content again`,
          'image-damaged',
        )
      if ('open' in format) return await findDiskExport(digest, format)
      const found = await lookups(digest, () => find(digest))
      if (!found) return undefined
      const { sizeBytes, generation, layoutHash } = found
      const isGzip = format === GZIP_EXPORT
      const parts = parseManifest(found.manifest).segments.map((hash, index) => {
        const row = found.segments.get(index)
        const stated = isGzip ? row?.exportBytes : row?.zstdExportBytes
        return {
          hash: hash === null ? null : parseSha256(hash),
          exportBytes: stated ?? segmentExportBytes(sizeBytes, index, undefined, format.length),
        }
      })
      const loadLayout = (index: number) =>
        layouts(`${digest} ${index} ${generation}`, () => getLayout(db, digest, index, generation))
      const source = { format, digest, sizeBytes, segments: parts, loadLayout, loadSegment }
      const tag = `${digest}-${layoutHash.slice(0, 16)}${generation > 0 ? `-${generation}` : ''}`
      return {
        format,
        totalBytes: isGzip ? found.exportBytes : found.zstdExportBytes!,
        etag: `"${tag}${isGzip ? '' : '-zst'}"`,
        read: (range) => held(digest, exportImage(store, source, range)),
        lend: (range) =>
          held(
            digest,
            exportImage(store, { ...source, lender: { ...lender, reader: source } }, range),
          ),
      }
    },

    async openDisk(digest) {
      const held = hold(digest)
      const disk = await findDisk(digest)
      if (disk) return { ...disk, ...held }
      await held[Symbol.asyncDispose]()
      return undefined
    },

    digests: () => [...open].map(({ digest }) => digest),

    oldestStart: () => [...open].map(({ startedAt }) => startedAt).sort((a, b) => +a - +b)[0],
  }
}
