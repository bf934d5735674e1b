import { and, asc, eq, gt, inArray, isNotNull, notInArray, or, sql } from 'drizzle-orm'
import type { Image, ImageInfo } from '#protocol/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from './database.ts'
import { recordEvent } from './events.ts'
import { images, links, manifests, manifestSegments, runs } from './schema.ts'

export interface NewImage {
  name: string
  digest: Sha256
  manifest: Uint8Array
  info: ImageInfo
  sizeBytes: number
  sectorBytes: number
  storedBytes: number
  contentBytes: number
  exportBytes: number
  layoutHash: Sha256
  /** Undefined for a segment of zeros. */
  segments: readonly ({ exportBytes: number; layout: Uint8Array } | undefined)[]
}

const columns = {
  name: images.name,
  digest: images.digest,
  sizeBytes: manifests.sizeBytes,
  sectorBytes: manifests.sectorBytes,
  storedBytes: manifests.storedBytes,
  contentBytes: manifests.contentBytes,
  createdAt: images.createdAt,
  info: images.info,
}

const ACTIVE = ['queued', 'booting', 'running'] as const

/** Makes the image visible, in place of an older one of that name. */
export async function saveImage(db: Database, image: NewImage, now: Date): Promise<Image> {
  return db.transaction(async (tx) => {
    await saveManifest(tx, image)
    const { name, digest, info } = image
    await tx
      .insert(images)
      .values({ name, digest, info, createdAt: now })
      .onConflictDoUpdate({ target: images.name, set: { digest, info, createdAt: now } })
    const saved = await getImage(tx, name)
    await recordEvent(tx, 'image', saved)
    return saved
  })
}

/** The same content may be stored in other lengths by now, so the layout is always the latest. */
async function saveManifest(tx: Transaction, image: NewImage): Promise<void> {
  const { digest, manifest, segments, name: _name, info: _info, ...figures } = image
  await tx
    .insert(manifests)
    .values({ digest, bytes: manifest, ...figures })
    .onConflictDoUpdate({ target: manifests.digest, set: figures })
  await tx.delete(manifestSegments).where(eq(manifestSegments.digest, digest))
  for (const [segment, row] of segments.entries())
    if (row) await tx.insert(manifestSegments).values({ digest, segment, ...row })
}

async function getImage(tx: Transaction, name: string): Promise<Image> {
  const image = await findImage(tx, name)
  if (!image) throw new Error(`Image "${name}" vanished while it was saved`)
  return image
}

export async function findImage(
  db: Database | Transaction,
  name: string,
): Promise<Image | undefined> {
  const [row] = await selectImages(db).where(eq(images.name, name))
  return row && toImage(row)
}

/** A page of the library by name. */
export async function listImages(
  db: Database,
  { limit, after }: { limit: number; after: string | undefined },
): Promise<{ items: Image[]; next: string | null }> {
  const rows = await selectImages(db)
    .where(after === undefined ? undefined : gt(images.name, after))
    .orderBy(asc(images.name))
    .limit(limit + 1)
  const items = rows.slice(0, limit).map(toImage)
  return { items, next: rows.length > limit ? items.at(-1)!.name : null }
}

function selectImages(db: Database | Transaction) {
  return db.select(columns).from(images).innerJoin(manifests, eq(images.digest, manifests.digest))
}

type ImageRow = Omit<Image, 'createdAt'> & { createdAt: Date }

function toImage(row: ImageRow): Image {
  return { ...row, createdAt: row.createdAt.toISOString() }
}

/** Undefined if there is no such image. */
export async function saveImageInfo(
  db: Database,
  name: string,
  info: ImageInfo,
): Promise<Image | undefined> {
  return db.transaction(async (tx) => {
    const changed = await tx.update(images).set({ info }).where(eq(images.name, name)).returning()
    if (changed.length === 0) return undefined
    const saved = await getImage(tx, name)
    await recordEvent(tx, 'image', saved)
    return saved
  })
}

export type ImageDeletion = { kind: 'deleted' | 'missing' } | { kind: 'in-use'; runId: string }

/** Deletes an image unless an active run uses it. Its chunks go with the next sweep. */
export async function deleteImage(db: Database, name: string): Promise<ImageDeletion> {
  return db.transaction(async (tx): Promise<ImageDeletion> => {
    // A run that is being created holds the row until it is there to be seen.
    const [row] = await tx.select().from(images).where(eq(images.name, name)).for('update')
    if (!row) return { kind: 'missing' }
    const [run] = await tx
      .select({ id: runs.id })
      .from(runs)
      .where(
        and(
          inArray(runs.state, [...ACTIVE]),
          or(eq(runs.image, name), eq(runs.imageDigest, row.digest)),
        ),
      )
      .limit(1)
    if (run) return { kind: 'in-use', runId: run.id }
    const image = await getImage(tx, name)
    await tx.delete(images).where(eq(images.name, name))
    await recordEvent(tx, 'image', { ...image, deleted: true })
    return { kind: 'deleted' }
  })
}

export async function findManifest(db: Database, digest: Sha256): Promise<Uint8Array | undefined> {
  const [row] = await db
    .select({ bytes: manifests.bytes })
    .from(manifests)
    .where(eq(manifests.digest, digest))
  return row?.bytes
}

export interface ManifestExport {
  digest: Sha256
  manifest: Uint8Array
  sizeBytes: number
  exportBytes: number
  layoutHash: Sha256
  /** Length in the export by segment; those of zeros are not listed. */
  segmentBytes: Map<number, number>
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
      const { segment, exportBytes } = manifestSegments
      const rows = await tx
        .select({ segment, exportBytes })
        .from(manifestSegments)
        .where(eq(manifestSegments.digest, digest))
      return {
        digest,
        manifest: row.bytes,
        sizeBytes: row.sizeBytes,
        exportBytes: row.exportBytes,
        layoutHash: row.layoutHash,
        segmentBytes: new Map(rows.map((each) => [each.segment, each.exportBytes])),
      }
    },
    { isolationLevel: 'repeatable read' },
  )
}

export async function getLayout(
  db: Database,
  digest: Sha256,
  segment: number,
): Promise<Uint8Array> {
  const [row] = await db
    .select({ layout: manifestSegments.layout })
    .from(manifestSegments)
    .where(and(eq(manifestSegments.digest, digest), eq(manifestSegments.segment, segment)))
  if (!row) throw new Error(`Segment ${segment} of image ${digest} has no layout`)
  return row.layout
}

/** Forgets manifests that no image, active run or link needs, but for `held` ones. */
export async function pruneManifests(
  db: Database,
  held: readonly Sha256[],
  now: Date,
): Promise<void> {
  const named = db.select({ digest: images.digest }).from(images)
  const pinned = db
    .select({ digest: runs.imageDigest })
    .from(runs)
    .where(and(inArray(runs.state, [...ACTIVE]), isNotNull(runs.imageDigest)))
  const linked = db
    .select({ digest: links.digest })
    .from(links)
    .where(and(gt(links.expiresAt, now), isNotNull(links.digest)))
  await db
    .delete(manifests)
    .where(
      and(
        sql`${manifests.digest} not in ${named}`,
        sql`${manifests.digest} not in ${pinned}`,
        sql`${manifests.digest} not in ${linked}`,
        held.length > 0 ? notInArray(manifests.digest, [...held]) : undefined,
      ),
    )
}

/** Every manifest that there is, one after another. */
export async function* allManifests(db: Database): AsyncGenerator<Uint8Array> {
  const digests = await db.select({ digest: manifests.digest }).from(manifests)
  for (const { digest } of digests) {
    const bytes = await findManifest(db, digest)
    if (bytes) yield bytes
  }
}
