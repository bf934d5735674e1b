import { eq, inArray, and } from 'drizzle-orm'
import {
  type KeepReason,
  type ImageVersion,
  type Retention,
  type RetentionRule,
} from '#protocol/image/image-version.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { getImage } from './image-queries.ts'
import { listManyVersioned } from './image-versions.ts'
import { listVersions } from './image-versions.ts'
import { images, imageVersions } from '../schema.ts'

type Judged = Pick<Retention, 'removed' | 'kept'>
type Judgeable = Pick<ImageVersion, 'version' | 'createdAt' | 'isPromoted' | 'usedBy'>

/** Links expire by the clock of the app, and versions were made by that of the machine. */
export interface RetentionTimes {
  now: Date
  today: Date
}

const DAY_MILLISECONDS = 24 * 3600 * 1000

/** Which versions, newest first, go by this rule, and why the others stay. */
export function judgeVersions(
  versions: readonly Judgeable[],
  { keepVersions, keepDays }: RetentionRule,
  today: Date,
): Judged {
  const keepsAll = keepVersions === null && keepDays === null
  const youngSince = keepDays === null ? Infinity : today.getTime() - keepDays * DAY_MILLISECONDS
  const judged = versions.map(({ version, createdAt, isPromoted, usedBy }, index) => {
    const isRecent = keepVersions !== null && index < keepVersions
    const isYoung = Date.parse(createdAt) > youngSince
    const reasons: (KeepReason | false)[] = [
      isPromoted && 'promoted',
      usedBy.machines.length > 0 && 'assigned',
      usedBy.runs.length > 0 && 'running',
      usedBy.links > 0 && 'linked',
      (keepsAll || isRecent || isYoung) && 'rule',
    ]
    return { version, reasons: reasons.filter((reason) => reason !== false) }
  })
  return {
    removed: judged.filter(({ reasons }) => reasons.length === 0).map(({ version }) => version),
    kept: judged.filter(({ reasons }) => reasons.length > 0),
  }
}

/**
 * What the image's rule, or another one (null: that of the settings), would do. Undefined if there
 * is no such image.
 */
export async function previewRetention(
  db: Database,
  name: string,
  {
    rule,
    standard,
    times,
  }: { rule?: RetentionRule | null | undefined; standard: RetentionRule; times: RetentionTimes },
): Promise<Retention | undefined> {
  const [row] = await db.select().from(images).where(eq(images.name, name))
  if (!row) return undefined
  const asked = rule === undefined ? row.retention : rule
  const used = asked ?? standard
  const versions = await listVersions(db, name, times.now)
  return { ...used, isDefault: asked === null, ...judgeVersions(versions, used, times.today) }
}

/** Keeps the rule, null for the one of the settings, and goes by it at once. */
export async function saveRetention(
  db: Database,
  name: string,
  {
    rule,
    standard,
    times,
  }: { rule: RetentionRule | null; standard: RetentionRule; times: RetentionTimes },
  check?: (rule: RetentionRule | undefined) => void,
): Promise<Retention | undefined> {
  return db.transaction(async (tx) => {
    const [row] = await tx.select().from(images).where(eq(images.name, name)).for('update')
    check?.(row && (row.retention ?? standard))
    if (!row) return undefined
    await tx.update(images).set({ retention: rule }).where(eq(images.name, name))
    const used = rule ?? standard
    const judged = await removeVersions(tx, name, used, times)
    return { ...used, isDefault: rule === null, ...judged }
  })
}

/** Removes what the rules let go, of one image or of all; their chunks go with the next sweep. */
export async function applyRetention(
  db: Database,
  standard: RetentionRule,
  times: RetentionTimes,
  only?: string,
): Promise<void> {
  for (const name of only === undefined ? await listManyVersioned(db) : [only])
    await db.transaction(async (tx) => {
      // A run that pins a version meanwhile waits for this row, or we for it.
      const [row] = await tx.select().from(images).where(eq(images.name, name)).for('update')
      if (row) await removeVersions(tx, name, row.retention ?? standard, times)
    })
}

async function removeVersions(
  tx: Transaction,
  name: string,
  rule: RetentionRule,
  { now, today }: RetentionTimes,
): Promise<Judged> {
  const judged = judgeVersions(await listVersions(tx, name, now), rule, today)
  if (judged.removed.length > 0) {
    await tx
      .delete(imageVersions)
      .where(and(eq(imageVersions.image, name), inArray(imageVersions.version, judged.removed)))
    recordEvent(tx, 'image', await getImage(tx, name))
  }
  return judged
}
