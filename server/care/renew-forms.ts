import { eq } from 'drizzle-orm'
import { decodeSegment } from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { recordEvent } from '#server/db/events.ts'
import { currentRows, renewLayouts, type SegmentRow } from '#server/db/image-layouts.ts'
import { findImage } from '#server/db/image-queries.ts'
import { images, manifests } from '#server/db/schema.ts'
import { measureExports, measureSegment, parseManifest } from '#server/images/commit/check-image.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import {
  type ChunkForm,
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
} from '#server/images/store/chunk-store.ts'
import { hashLayouts, patchLayout } from '#server/images/export/layout.ts'

export interface RenewOptions {
  db: Database
  store: ChunkStore
  /** What their chunks are stored as now. */
  forms: ReadonlyMap<Sha256, ChunkForm>
  /** Exports of these are others from here on, even if all lengths are as before. */
  always?: ReadonlySet<Sha256>
  signal?: AbortSignal | undefined
}

/** Writes down the forms in the layouts of all images that have the chunks; how many images that were. */
export async function renewForms(options: RenewOptions): Promise<number> {
  const { db, signal } = options
  if (options.forms.size === 0) return 0
  let renewed = 0
  for (const { digest } of await db.select({ digest: manifests.digest }).from(manifests)) {
    signal?.throwIfAborted()
    if (await renewImage(options, digest)) renewed++
  }
  return renewed
}

async function renewImage(options: RenewOptions, digest: Sha256): Promise<boolean> {
  const { db, store, forms } = options
  const [manifest] = await db.select().from(manifests).where(eq(manifests.digest, digest))
  if (!manifest) return false
  const { sizeBytes } = manifest
  const rows = await currentRows(db, digest)
  const changed = new Map<number, SegmentRow>()
  let grownBytes = 0
  const { segments } = parseManifest(manifest.bytes)
  for (const [index, row] of rows) {
    const content = await segmentContent(store, parseSha256(segments[index]!))
    const patched = content && patchLayout(row.layout, decodeSegment(content), forms)
    if (!patched) continue
    grownBytes += patched.grownBytes
    changed.set(index, measureSegment(sizeBytes, index, patched.layout))
    row.layout = patched.layout
  }
  const always = options.always?.has(digest) ?? false
  if (changed.size === 0 && !always) return false
  const all = segments.map((_, index) => {
    const row = rows.get(index)
    return row && measureSegment(sizeBytes, index, row.layout)
  })
  await db.transaction(async (tx) => {
    const figures = {
      // A chunk in several segments counts for each, until the store is counted as a whole.
      storedBytes: Math.max(0, manifest.storedBytes + grownBytes),
      ...measureExports(sizeBytes, all),
      layoutHash: hashLayouts(all.map((row) => row?.layout)),
    }
    await renewLayouts(tx, digest, { figures, rows: changed, now: new Date(), always })
    for (const { name } of await tx.select().from(images).where(eq(images.digest, digest))) {
      const image = await findImage(tx, name)
      if (image) recordEvent(tx, 'image', image)
    }
  })
  return true
}

/** Undefined if it is lost: then so is the image, for the time being. */
async function segmentContent(store: ChunkStore, hash: Sha256): Promise<Uint8Array | undefined> {
  return await readContent(store, hash).catch((err: unknown) => {
    if (err instanceof ChunkMissingError || err instanceof ChunkCorruptError) return undefined
    throw err
  })
}
