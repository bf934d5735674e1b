import { and, asc, desc, eq, inArray, isNotNull, isNull, lt, lte } from 'drizzle-orm'
import { createGiveBack } from '#server/give-back.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { manifests, manifestSegments } from '../schema.ts'

/** How the chunks of images are stored: what the lengths and ETags of exports follow from. */

export interface SegmentRow {
  exportBytes: number
  zstdExportBytes: number
  layout: Uint8Array
}

export interface LayoutFigures {
  storedBytes: number
  exportBytes: number
  zstdExportBytes: number
  layoutHash: Sha256
}

export interface NewManifest extends LayoutFigures {
  digest: Sha256
  manifest: Uint8Array
  sizeBytes: number
  sectorBytes: number
  contentBytes: number
  /** Undefined for a segment of zeros. */
  segments: readonly (SegmentRow | undefined)[]
}

/** Rows in one statement; a layout has four bytes a chunk. */
const ROWS_AT_ONCE = 8
/** 1.3 TiB of disk. In a statement, a byte of a layout is two letters, several times over. */
const EVERY_STATEMENTS = 5

/** The same content may be stored in other lengths by now, so the layout is always the latest. */
export async function saveManifest(tx: Transaction, image: NewManifest, now: Date): Promise<void> {
  const { digest, manifest, segments, sizeBytes, sectorBytes, contentBytes } = image
  const { storedBytes, exportBytes, zstdExportBytes, layoutHash } = image
  const figures = { storedBytes, exportBytes, zstdExportBytes, layoutHash }
  const inserted = await tx
    .insert(manifests)
    .values({ digest, bytes: manifest, sizeBytes, sectorBytes, contentBytes, ...figures })
    .onConflictDoNothing()
    .returning()
  const rows = new Map([...segments.entries()].flatMap(([at, row]) => (row ? [[at, row]] : [])))
  if (inserted.length > 0) return insertRows(tx, digest, 0, rows)
  await renewLayouts(tx, digest, { figures, rows, now })
}

export interface Renewal {
  figures: LayoutFigures
  /** Of the segments that may have changed, or of all. */
  rows: ReadonlyMap<number, SegmentRow>
  now: Date
  /** A chunk may have other bytes of the same length: it is another export all the same. */
  always?: boolean
}

/** Exports that begin from here on have the new lengths; those that began before go on with theirs. */
export async function renewLayouts(
  tx: Transaction,
  digest: Sha256,
  { figures, rows, now, always = false }: Renewal,
): Promise<void> {
  const [held] = await tx
    .select({ generation: manifests.generation })
    .from(manifests)
    .where(eq(manifests.digest, digest))
    .for('update')
  if (!held) return
  const current = await currentRows(tx, digest)
  const changed = new Map([...rows].filter(([at, row]) => !isSame(current.get(at)?.layout, row)))
  const isChanged = always || changed.size > 0
  const generation = held.generation + (isChanged ? 1 : 0)
  await tx
    .update(manifests)
    .set({ ...figures, generation })
    .where(eq(manifests.digest, digest))
  const segments = [...changed.keys()]
  for (let start = 0; start < segments.length; start += ROWS_AT_ONCE)
    await tx
      .update(manifestSegments)
      .set({ supersededAt: now })
      .where(
        and(
          eq(manifestSegments.digest, digest),
          inArray(manifestSegments.segment, segments.slice(start, start + ROWS_AT_ONCE)),
          isNull(manifestSegments.supersededAt),
        ),
      )
  await insertRows(tx, digest, generation, changed)
}

function isSame(layout: Uint8Array | undefined, row: SegmentRow): boolean {
  return layout !== undefined && Buffer.compare(layout, row.layout) === 0
}

async function insertRows(
  tx: Transaction,
  digest: Sha256,
  generation: number,
  rows: ReadonlyMap<number, SegmentRow>,
): Promise<void> {
  const values = [...rows].map(([segment, row]) => {
    const { exportBytes, zstdExportBytes, layout } = row
    return { digest, segment, generation, exportBytes, zstdExportBytes, layout }
  })
  const giveBack = createGiveBack(EVERY_STATEMENTS)
  for (let start = 0; start < values.length; start += ROWS_AT_ONCE) {
    await tx.insert(manifestSegments).values(values.slice(start, start + ROWS_AT_ONCE))
    giveBack()
  }
}

/** The layouts that exports which begin now have, by segment. */
export async function currentRows(
  db: Database | Transaction,
  digest: Sha256,
): Promise<Map<number, { layout: Uint8Array; exportBytes: number }>> {
  const { segment, layout, exportBytes } = manifestSegments
  const rows = await db
    .select({ segment, layout, exportBytes })
    .from(manifestSegments)
    .where(and(eq(manifestSegments.digest, digest), isNull(manifestSegments.supersededAt)))
    .orderBy(asc(segment))
  return new Map(rows.map(({ segment: at, ...row }) => [at, row]))
}

export interface ManifestExport {
  digest: Sha256
  manifest: Uint8Array
  sizeBytes: number
  exportBytes: number
  /** null: of an image older than such exports, not computed yet. */
  zstdExportBytes: number | null
  layoutHash: Sha256
  generation: number
  /** Lengths in the exports by segment; those of zeros are not listed. */
  segments: Map<number, { exportBytes: number; zstdExportBytes: number | null }>
}

export async function findExport(
  db: Database,
  digest: Sha256,
): Promise<ManifestExport | undefined> {
  // One snapshot: a layout may be replaced between two queries.
  return db.transaction(
    async (tx) => {
      const [row] = await tx.select().from(manifests).where(eq(manifests.digest, digest))
      if (!row) return undefined
      const { segment, exportBytes, zstdExportBytes } = manifestSegments
      const rows = await tx
        .select({ segment, exportBytes, zstdExportBytes })
        .from(manifestSegments)
        .where(and(eq(manifestSegments.digest, digest), isNull(manifestSegments.supersededAt)))
      return {
        digest,
        manifest: row.bytes,
        sizeBytes: row.sizeBytes,
        exportBytes: row.exportBytes,
        zstdExportBytes: row.zstdExportBytes,
        layoutHash: row.layoutHash,
        generation: row.generation,
        segments: new Map(rows.map(({ segment: at, ...lengths }) => [at, lengths])),
      }
    },
    { isolationLevel: 'repeatable read' },
  )
}

/** As of a generation of the image, or as it is now. */
export async function getLayout(
  db: Database,
  digest: Sha256,
  segment: number,
  generation?: number,
): Promise<Uint8Array> {
  const [row] = await db
    .select({ layout: manifestSegments.layout })
    .from(manifestSegments)
    .where(
      and(
        eq(manifestSegments.digest, digest),
        eq(manifestSegments.segment, segment),
        generation === undefined ? undefined : lte(manifestSegments.generation, generation),
      ),
    )
    .orderBy(desc(manifestSegments.generation))
    .limit(1)
  if (!row) throw new Error(`Segment ${segment} of image ${digest} has no layout`)
  return row.layout
}

/** Of an image from before there were exports as zstd. */
export async function saveZstdLengths(
  db: Database,
  digest: Sha256,
  generation: number,
  lengths: { total: number; segments: ReadonlyMap<number, number> },
): Promise<void> {
  await db.transaction(async (tx) => {
    const updated = await tx
      .update(manifests)
      .set({ zstdExportBytes: lengths.total })
      .where(and(eq(manifests.digest, digest), eq(manifests.generation, generation)))
      .returning()
    if (updated.length === 0) return // renewed meanwhile, which computed them
    for (const [segment, zstdExportBytes] of lengths.segments)
      await tx
        .update(manifestSegments)
        .set({ zstdExportBytes })
        .where(
          and(
            eq(manifestSegments.digest, digest),
            eq(manifestSegments.segment, segment),
            isNull(manifestSegments.supersededAt),
          ),
        )
  })
}

/** Forgets layouts that later ones took the place of before this moment. */
export async function pruneLayouts(db: Database, before: Date): Promise<void> {
  await db
    .delete(manifestSegments)
    .where(and(isNotNull(manifestSegments.supersededAt), lt(manifestSegments.supersededAt, before)))
}
