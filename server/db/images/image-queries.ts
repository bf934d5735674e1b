import { and, asc, eq, gt, inArray, isNotNull, notInArray, sql } from 'drizzle-orm'
import type { Image, ImageInfo } from '#protocol/image/image-info.ts'
import { ACTIVE_RUN_STATES } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { countDamage } from './damage-count.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { type NewManifest, saveManifest } from './image-layouts.ts'
import { lockImageName } from './image-name-lock.ts'
import { findUsage } from './image-usage.ts'
import {
  addVersion,
  countVersions,
  findVersionRow,
  type StoredVersion,
  type VersionOrigin,
} from './image-versions.ts'
import { holdCapture } from '../runs/runs.ts'
import { images, imageVersions, links, manifests, runs, type StoredImageInfo } from '../schema.ts'

export interface NewImage extends VersionOrigin, NewManifest {
  name: string
  digest: Sha256
  manifest: Uint8Array
  info: ImageInfo
  /** Of the file that it was uploaded from. */
  fileName?: string | undefined
  /** Undefined: that of an older image of the name stays. */
  description?: string | undefined
}

const columns = {
  name: images.name,
  digest: images.digest,
  sizeBytes: manifests.sizeBytes,
  sectorBytes: manifests.sectorBytes,
  storedBytes: manifests.storedBytes,
  contentBytes: manifests.contentBytes,
  uniqueBytes: manifests.uniqueBytes,
  createdAt: images.createdAt,
  description: images.description,
  info: images.info,
  version: images.version,
}

/**
 * Makes the image visible, as another version of one of that name. Unless that is not to be promoted,
 * it takes the place of what the name stood for.
 */
export async function saveImage(
  db: Database,
  image: NewImage,
  now: Date,
  /** Looks at what the name stands for until now, while nobody else can change that; throws to refuse. */
  check?: (current: Image | undefined) => void,
): Promise<Image> {
  return db.transaction(async (tx) => {
    await lockImageName(tx, image.name)
    const { name, fileName } = image
    const [current] = await tx.select().from(images).where(eq(images.name, name)).for('update')
    check?.(current && (await findImage(tx, name)))
    await saveManifest(tx, image, now)
    const info: StoredImageInfo = { ...image.info, ...(fileName !== undefined && { fileName }) }
    const { version, isPromoted } = await addVersion(tx, current, { ...image, info }, now)
    // The last of it: while it lasts, nothing that the agent reports can be saved.
    if (image.runId !== undefined) await holdCapture(tx, image.runId)
    const saved = await getImage(tx, name)
    recordEvent(tx, 'image', saved)
    return isPromoted ? saved : getImage(tx, `${name}@${version}`)
  })
}

/** Throws if there is none, which the caller made sure of. */
export async function getImage(tx: Transaction, reference: string): Promise<Image> {
  const image = await findImage(tx, reference)
  if (!image) throw new Error(`Image "${reference}" vanished within a transaction`)
  return image
}

/** By its name, `debian-12`, or one version of it: `debian-12@3`, `debian-12@latest`. */
export async function findImage(
  db: Database | Transaction,
  reference: string,
): Promise<Image | undefined> {
  if (!reference.includes('@')) {
    const rows = await selectImages(db).where(eq(images.name, reference))
    return (await toImages(db, rows))[0]
  }
  const version = await findVersionRow(db, reference)
  return version && findVersionImage(db, version)
}

/** The same, for who needs nothing else of it: a rack that boots asks often. */
export async function findImageDigest(
  db: Database,
  reference: string,
): Promise<string | undefined> {
  if (reference.includes('@')) return (await findVersionRow(db, reference))?.digest
  const [row] = await db
    .select({ digest: images.digest })
    .from(images)
    .where(eq(images.name, reference))
  return row?.digest
}

/** As the image would be if its name stood for this version. */
async function findVersionImage(
  db: Database | Transaction,
  { image, version, digest, info, createdAt }: StoredVersion,
): Promise<Image | undefined> {
  const rows = await db
    .select(columns)
    .from(images)
    .innerJoin(manifests, eq(manifests.digest, digest))
    .where(eq(images.name, image))
  return (
    await toImages(
      db,
      rows.map((row) => ({ ...row, version, digest, info, createdAt })),
    )
  )[0]
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
  const items = await toImages(db, rows.slice(0, limit))
  return { items, next: rows.length > limit ? items.at(-1)!.name : null }
}

function selectImages(db: Database | Transaction) {
  return db.select(columns).from(images).innerJoin(manifests, eq(images.digest, manifests.digest))
}

type ImageRow = Awaited<ReturnType<typeof selectImages>>[number]

/** Images with all that other tables know of them, in as many queries whatever their number. */
async function toImages(db: Database | Transaction, rows: ImageRow[]): Promise<Image[]> {
  const usage = await findUsage(db, rows)
  const counts = await countVersions(
    db,
    rows.map(({ name }) => name),
  )
  const damage = await countDamage(
    db,
    rows.map(({ digest }) => digest),
  )
  return rows.map(({ description, createdAt, info: { fileName, ...info }, ...row }) => ({
    ...row,
    ...(damage.has(row.digest) && { damaged: { chunks: damage.get(row.digest)! } }),
    createdAt: createdAt.toISOString(),
    ...(description !== null && { description }),
    ...(fileName !== undefined && { fileName }),
    info,
    latestVersion: counts.get(row.name)?.latestVersion ?? row.version,
    versionCount: counts.get(row.name)?.versionCount ?? 1,
    usedBy: usage.get(row.name)!,
  }))
}

export async function findManifest(db: Database, digest: Sha256): Promise<Uint8Array | undefined> {
  const [row] = await db
    .select({ bytes: manifests.bytes })
    .from(manifests)
    .where(eq(manifests.digest, digest))
  return row?.bytes
}

/** Forgets manifests that no image, active run or link needs, but for `held` ones. */
export async function pruneManifests(
  db: Database,
  held: readonly Sha256[],
  now: Date,
): Promise<void> {
  const named = db.select({ digest: images.digest }).from(images)
  const versions = db.select({ digest: imageVersions.digest }).from(imageVersions)
  const pinned = db
    .select({ digest: runs.imageDigest })
    .from(runs)
    .where(and(inArray(runs.state, [...ACTIVE_RUN_STATES]), isNotNull(runs.imageDigest)))
  const linked = db
    .select({ digest: links.digest })
    .from(links)
    .where(and(gt(links.expiresAt, now), isNotNull(links.digest)))
  await db
    .delete(manifests)
    .where(
      and(
        sql`${manifests.digest} not in ${named}`,
        sql`${manifests.digest} not in ${versions}`,
        sql`${manifests.digest} not in ${pinned}`,
        sql`${manifests.digest} not in ${linked}`,
        held.length > 0 ? notInArray(manifests.digest, [...held]) : undefined,
      ),
    )
}

/** Every manifest that there is but those, one after another. */
export async function* eachManifest(
  db: Database,
  except: ReadonlySet<Sha256> = new Set(),
): AsyncGenerator<{ digest: Sha256; manifest: Uint8Array }> {
  for (const { digest } of await db.select({ digest: manifests.digest }).from(manifests)) {
    if (except.has(digest)) continue
    const manifest = await findManifest(db, digest)
    if (manifest) yield { digest, manifest }
  }
}
