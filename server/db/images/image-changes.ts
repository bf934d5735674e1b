import { and, asc, desc, eq, sql } from 'drizzle-orm'
import type { Image, ImageChange, ImageInfo } from '#protocol/image/image-info.ts'
import { imageNameOf } from '#protocol/image/image-reference.ts'
import type { Mac } from '#protocol/mac.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { isUniqueViolation } from '../failures.ts'
import { findImage, getImage } from './image-queries.ts'
import { baseName, type ImageUsage, type VersionUsage } from './image-usage.ts'
import { findVersionRow, listVersions } from './image-versions.ts'
import { endLinksTo } from './links.ts'
import { recordMachine } from '../machines/machines.ts'
import { findActiveCapture } from '../runs/runs.ts'
import { images, imageVersions, machines } from '../schema.ts'

/** Looks at the image that is about to be changed, under a lock; throws to refuse. */
export type CheckImage = (image: Image | undefined) => void

/**
 * What is known of an image, or of a version of it; `runId`: of the version that this run captured, if
 * it did. Undefined if there is no such image.
 */
export async function saveImageInfo(
  db: Database,
  reference: string,
  info: ImageInfo,
  { check, runId }: { check?: CheckImage | undefined; runId?: string | undefined } = {},
): Promise<Image | undefined> {
  return db.transaction(async (tx) => {
    const name = imageNameOf(reference)
    const row = await lockImage(tx, name)
    const before = row && (await findImage(tx, reference))
    check?.(before)
    if (!row || !before) return undefined
    const captured = runId === undefined ? undefined : await findCaptured(tx, name, runId)
    const version = captured ?? before.version
    const of = await findVersionRow(tx, `${name}@${version}`)
    const { fileName } = of?.info ?? row.info
    const changed = { info: { ...info, ...(fileName !== undefined && { fileName }) } }
    await tx.update(imageVersions).set(changed).where(isVersion(name, version))
    if (row.version === version) await tx.update(images).set(changed).where(eq(images.name, name))
    const image = await recordImage(tx, name)
    return row.version === version ? image : getImage(tx, `${name}@${version}`)
  })
}

function isVersion(image: string, version: number) {
  return and(eq(imageVersions.image, image), eq(imageVersions.version, version))
}

async function findCaptured(tx: Transaction, image: string, runId: string) {
  const [row] = await tx
    .select({ version: imageVersions.version })
    .from(imageVersions)
    .where(and(eq(imageVersions.image, image), eq(imageVersions.runId, runId)))
    .orderBy(desc(imageVersions.version))
    .limit(1)
  return row?.version
}

export type PromotionResult =
  /** With the machines that the name alone is assigned to: they get this version at their next deploy. */
  { kind: 'promoted'; image: Image; followers: Mac[] } | { kind: 'missing' | 'missing-version' }

/** Makes the name stand for this version, an older or a newer one. */
export async function promoteVersion(
  db: Database,
  { name, version, by }: { name: string; version: number; by: string },
  now: Date,
  check?: CheckImage,
): Promise<PromotionResult> {
  return db.transaction(async (tx): Promise<PromotionResult> => {
    const row = await lockImage(tx, name)
    const before = row && (await getImage(tx, name))
    check?.(before)
    if (!row) return { kind: 'missing' }
    const wanted = await findVersionRow(tx, `${name}@${version}`)
    if (!wanted) return { kind: 'missing-version' }
    const followers = await listAssigned(tx, name)
    // Asked for once more, it is still what was asked for, and no news.
    if (row.version === version) return { kind: 'promoted', image: before!, followers }
    const { digest, info, createdAt } = wanted
    await tx.update(images).set({ version, digest, info, createdAt }).where(eq(images.name, name))
    await tx
      .update(imageVersions)
      .set({ promotedAt: now, promotedBy: by })
      .where(isVersion(name, version))
    return { kind: 'promoted', image: await recordImage(tx, name), followers }
  })
}

async function listAssigned(tx: Transaction, reference: string): Promise<Mac[]> {
  const rows = await tx
    .select({ mac: machines.mac })
    .from(machines)
    .where(eq(machines.image, reference))
    .orderBy(asc(machines.mac))
  return rows.map(({ mac }) => mac)
}

export type VersionDeletion =
  | { kind: 'deleted' | 'missing' | 'promoted' }
  | { kind: 'in-use'; usedBy: VersionUsage }

/**
 * Deletes one version unless the name stands for it, a machine has it by its number or an active run
 * has its content. Links to it end.
 */
export async function deleteVersion(
  db: Database,
  { name, version }: { name: string; version: number },
  now: Date,
  check?: CheckImage,
): Promise<VersionDeletion> {
  return db.transaction(async (tx): Promise<VersionDeletion> => {
    const row = await lockImage(tx, name)
    check?.(row && (await getImage(tx, name)))
    const found =
      row && (await listVersions(tx, name, now)).find((each) => each.version === version)
    if (!found) return { kind: 'missing' }
    if (found.isPromoted) return { kind: 'promoted' }
    const { usedBy } = found
    if (usedBy.runs.length > 0 || usedBy.machines.length > 0) return { kind: 'in-use', usedBy }
    await tx.delete(imageVersions).where(isVersion(name, version))
    await endLinksTo(tx, [parseSha256(found.digest)])
    await recordImage(tx, name)
    return { kind: 'deleted' }
  })
}

export type ImageChangeResult =
  /** With the machines whose assignment got the new name. */
  | { kind: 'changed'; image: Image; followers: Mac[] }
  | { kind: 'missing' | 'taken' }
  | { kind: 'capturing'; image: string; runId: string }

/**
 * Describes or renames an image. Machines that it is assigned to follow its name; runs keep the digest
 * that they pinned.
 */
export async function changeImage(
  db: Database,
  name: string,
  change: ImageChange,
  check?: CheckImage,
): Promise<ImageChangeResult> {
  try {
    return await db.transaction((tx) => applyChange(tx, name, change, check))
  } catch (err) {
    // Another image got the name between our look and our update.
    if (!isUniqueViolation(err)) throw err
    return { kind: 'taken' }
  }
}

async function applyChange(
  tx: Transaction,
  name: string,
  { name: newName = name, description }: ImageChange,
  check: CheckImage | undefined,
): Promise<ImageChangeResult> {
  const row = await lockImage(tx, name)
  const before = row && (await getImage(tx, name))
  check?.(before)
  if (!before) return { kind: 'missing' }
  if (newName !== name) {
    if (await findImage(tx, newName)) return { kind: 'taken' }
    // A capture ends with an image of the name that it began with: it would undo the renaming.
    for (const image of [name, newName]) {
      const run = await findActiveCapture(tx, image)
      if (run) return { kind: 'capturing', image, runId: run.id }
    }
  }
  await tx
    .update(images)
    .set({ name: newName, ...(description !== undefined && { description: description || null }) })
    .where(eq(images.name, name))
  const followers = newName === name ? [] : await reassign(tx, name, newName)
  if (newName !== name) recordEvent(tx, 'image', { ...before, deleted: true })
  const image = await recordImage(tx, newName)
  for (const mac of followers) await recordMachine(tx, mac)
  return { kind: 'changed', image, followers }
}

export type ImageDeletion =
  /** With the machines that it was taken from. */
  | { kind: 'deleted'; unassigned: Mac[] }
  | { kind: 'missing' }
  | { kind: 'in-use'; usedBy: ImageUsage }

/**
 * Deletes an image unless an active run or an assignment uses it; `unassign` ends the assignments. Links
 * to it end, and its chunks go with the next sweep.
 */
export async function deleteImage(
  db: Database,
  name: string,
  { unassign, check }: { unassign: boolean; check?: CheckImage | undefined },
): Promise<ImageDeletion> {
  return db.transaction(async (tx): Promise<ImageDeletion> => {
    // A run that is being created holds the row until it is there to be seen.
    const row = await lockImage(tx, name)
    const image = row && (await getImage(tx, name))
    check?.(image)
    if (!image) return { kind: 'missing' }
    const { usedBy } = image
    if (usedBy.runs.length > 0 || (usedBy.machines.length > 0 && !unassign))
      return { kind: 'in-use', usedBy }
    const unassigned = await reassign(tx, name, null)
    const contents = await listContents(tx, name)
    await tx.delete(images).where(eq(images.name, name))
    await endLinksTo(tx, contents)
    const gone = { ...image, usedBy: { machines: [], runs: [] }, deleted: true }
    recordEvent(tx, 'image', gone)
    for (const mac of unassigned) await recordMachine(tx, mac)
    return { kind: 'deleted', unassigned }
  })
}

/** Digests of all its versions. */
async function listContents(tx: Transaction, name: string): Promise<Sha256[]> {
  const rows = await tx
    .selectDistinct({ digest: imageVersions.digest })
    .from(imageVersions)
    .where(eq(imageVersions.image, name))
  return rows.map(({ digest }) => digest)
}

async function lockImage(tx: Transaction, name: string) {
  const [row] = await tx.select().from(images).where(eq(images.name, name)).for('update')
  return row
}

/** The machines that had the image, in whatever version; those with a certain one keep it. */
async function reassign(tx: Transaction, from: string, to: string | null): Promise<Mac[]> {
  const isFrom = eq(baseName(machines.image), from)
  const rows = await tx
    .select({ mac: machines.mac })
    .from(machines)
    .where(isFrom)
    // In one order, so that two of these never wait for each other; who queues a run holds the machine first.
    .orderBy(asc(machines.mac))
    .for('no key update')
  const image =
    to === null ? null : sql`${to}::text || substr(${machines.image}, ${from.length + 1})`
  await tx.update(machines).set({ image }).where(isFrom)
  return rows.map(({ mac }) => mac)
}

async function recordImage(tx: Transaction, name: string): Promise<Image> {
  const image = await getImage(tx, name)
  recordEvent(tx, 'image', image)
  return image
}
