import { eq } from 'drizzle-orm'
import { decodeSegment } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { recordEvent } from '#server/db/events.ts'
import { currentRows, renewLayouts, type SegmentRow } from '#server/db/images/image-layouts.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { images, manifests } from '#server/db/schema.ts'
import { measureExports, measureSegment, parseManifest } from '#server/images/commit/check-image.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import { type ChunkForm, type ChunkStore, ifLost } from '#server/images/store/chunk-store.ts'
import { hashLayouts, patchLayout } from '#server/images/export/layout.ts'

export interface RenewOptions {
  db: Database
  store: ChunkStore
  lock: CommitLock
  /** Those that may be stored as something else than layouts say. */
  hashes: readonly Sha256[]
  /** Exports of these are others from here on, even if all lengths are as before. */
  always?: ReadonlySet<Sha256>
  signal?: AbortSignal
}

interface Renewal extends Pick<RenewOptions, 'db' | 'store' | 'always'> {
  forms: ReadonlyMap<Sha256, ChunkForm>
}

/** Writes down what the chunks are stored as now in the layouts of all images that have them. */
export async function renewForms(options: RenewOptions): Promise<void> {
  const { db, store, lock, hashes, always, signal } = options
  if (hashes.length === 0) return
  // Whatever commits after this has seen the new forms; what did before is read below.
  await lock.exclusive(async () => {})
  // A chunk may have been swept since, and stored anew in its first form: no sweep comes in between here.
  await lock.shared(async () => {
    const renewal = { db, store, always, forms: await store.touch(hashes) }
    for (const { digest } of await db.select({ digest: manifests.digest }).from(manifests)) {
      signal?.throwIfAborted()
      await renewImage(renewal, digest)
    }
  })
}

async function renewImage(renewal: Renewal, digest: Sha256): Promise<void> {
  const { db, store, forms } = renewal
  const [manifest] = await db.select().from(manifests).where(eq(manifests.digest, digest))
  if (!manifest) return
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
  const always = renewal.always?.has(digest) ?? false
  if (changed.size === 0 && !always) return
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
}

/** Undefined if it is lost: then so is the image, for the time being. */
async function segmentContent(store: ChunkStore, hash: Sha256): Promise<Uint8Array | undefined> {
  return await readContent(store, hash).catch(ifLost)
}
