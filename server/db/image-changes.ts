import { asc, eq } from 'drizzle-orm'
import type { Image, ImageChange, ImageInfo } from '#protocol/image-info.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database, Transaction } from './database.ts'
import { recordEvent } from './events.ts'
import { isUniqueViolation } from './failures.ts'
import { findImage, getImage } from './image-queries.ts'
import type { ImageUsage } from './image-usage.ts'
import { recordMachine } from './machines.ts'
import { findActiveCapture } from './runs.ts'
import { images, machines } from './schema.ts'

/** Looks at the image that is about to be changed, under a lock; throws to refuse. */
export type CheckImage = (image: Image | undefined) => void

/** Undefined if there is no such image. */
export async function saveImageInfo(
  db: Database,
  name: string,
  info: ImageInfo,
  check?: CheckImage,
): Promise<Image | undefined> {
  return db.transaction(async (tx) => {
    const row = await lockImage(tx, name)
    check?.(row && (await getImage(tx, name)))
    if (!row) return undefined
    const { fileName } = row.info
    await tx
      .update(images)
      .set({ info: { ...info, ...(fileName !== undefined && { fileName }) } })
      .where(eq(images.name, name))
    return recordImage(tx, name)
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
 * Deletes an image unless an active run or an assignment uses it; `unassign` ends the assignments. Its
 * chunks go with the next sweep.
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
    await tx.delete(images).where(eq(images.name, name))
    const gone = { ...image, usedBy: { machines: [], runs: [] }, deleted: true }
    recordEvent(tx, 'image', gone)
    for (const mac of unassigned) await recordMachine(tx, mac)
    return { kind: 'deleted', unassigned }
  })
}

async function lockImage(tx: Transaction, name: string) {
  const [row] = await tx.select().from(images).where(eq(images.name, name)).for('update')
  return row
}

/** The machines that had the image. */
async function reassign(tx: Transaction, from: string, to: string | null): Promise<Mac[]> {
  const rows = await tx
    .select({ mac: machines.mac })
    .from(machines)
    .where(eq(machines.image, from))
    // In one order, so that two of these never wait for each other.
    .orderBy(asc(machines.mac))
    .for('update')
  await tx.update(machines).set({ image: to }).where(eq(machines.image, from))
  return rows.map(({ mac }) => mac)
}

async function recordImage(tx: Transaction, name: string): Promise<Image> {
  const image = await getImage(tx, name)
  recordEvent(tx, 'image', image)
  return image
}
