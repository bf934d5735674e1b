import { and, asc, desc, eq, gt, inArray, isNotNull, lt } from 'drizzle-orm'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import { imageNameOf, parseImageReference } from '#protocol/image/image-reference.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Plan } from '#protocol/run/plan.ts'
import { ACTIVE_RUN_STATES } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { countDamage } from '../images/damage-count.ts'
import type { Database, Transaction } from '../database.ts'
import type { MachineRow } from '../machines/machines.ts'
import type { RunRow } from './runs.ts'
import { lockImageName } from '../images/image-name-lock.ts'
import { images, imageVersions, machineMacs, machines, manifests, plans, runs } from '../schema.ts'

/** Plans, and what they are made from: each for any number of machines in one query. */

type AnyDatabase = Database | Transaction

/** How long a plan can be read after it expired: its runs name it. */
const KEPT_DAYS = 30

export async function insertPlan(db: AnyDatabase, plan: Plan): Promise<void> {
  const { id, createdBy } = plan
  const createdAt = new Date(plan.createdAt)
  const expiresAt = new Date(plan.expiresAt)
  await db.insert(plans).values({ id, createdBy, createdAt, expiresAt, plan })
}

export async function findPlan(db: AnyDatabase, id: string): Promise<Plan | undefined> {
  const [row] = await db.select({ plan: plans.plan }).from(plans).where(eq(plans.id, id))
  return row?.plan
}

export async function prunePlans(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - KEPT_DAYS * 24 * 3600 * 1000)
  await db.delete(plans).where(lt(plans.expiresAt, limit))
}

/**
 * Machines by any of their cards; those that are not known are left out. In a transaction that `locks`,
 * they are not deleted until it ends.
 */
export async function findMachineRows(
  db: AnyDatabase,
  macs: readonly Mac[],
  { locks }: { locks: boolean },
): Promise<Map<Mac, MachineRow>> {
  const query = db
    .select({ mac: machineMacs.mac, machine: machines })
    .from(machineMacs)
    .innerJoin(machines, eq(machineMacs.machine, machines.mac))
    .where(inArray(machineMacs.mac, [...macs]))
    // In one order, so that whoever deletes many and whoever starts many seldom wait for each other.
    .orderBy(asc(machines.mac))
  const found = await (locks ? query.for('key share', { of: machines }) : query)
  return new Map(found.map(({ mac, machine }) => [mac, machine]))
}

/** By the machine's own MAC. */
export async function findActiveRuns(
  db: AnyDatabase,
  machineKeys: readonly Mac[],
): Promise<Map<Mac, Pick<RunRow, 'id' | 'workflow' | 'state'>>> {
  const found = await db
    .select({ mac: runs.mac, id: runs.id, workflow: runs.workflow, state: runs.state })
    .from(runs)
    .where(and(inArray(runs.mac, [...machineKeys]), inArray(runs.state, [...ACTIVE_RUN_STATES])))
  return new Map(found.map(({ mac, ...run }) => [mac, run]))
}

/** Deploys and wipes that ended after the machine's last inventory, the newest last. */
export async function findEndedSinceInventory(
  db: AnyDatabase,
  machineKeys: readonly Mac[],
): Promise<Pick<RunRow, 'mac' | 'id' | 'steps' | 'claimedBy'>[]> {
  return db
    .select({ mac: runs.mac, id: runs.id, steps: runs.steps, claimedBy: runs.claimedBy })
    .from(runs)
    .innerJoin(machines, eq(machines.mac, runs.mac))
    .where(
      and(
        inArray(runs.mac, [...machineKeys]),
        inArray(runs.workflow, ['deploy', 'wipe']),
        isNotNull(runs.startedAt),
        gt(runs.finishedAt, machines.lastInventoryAt),
      ),
    )
    .orderBy(asc(runs.id))
}

export interface NamedImage {
  name: string
  digest: Sha256
  sizeBytes: number
  sectorBytes: number
  info: ImageInfo
  /** How many of its chunks the store has lost. */
  damagedChunks?: number
}

/**
 * Images and versions of them, by what they are asked for as. In a transaction that `locks`, they are
 * neither deleted nor replaced until it ends.
 */
export async function findNamedImages(
  db: AnyDatabase,
  references: readonly string[],
  { locks }: { locks: boolean },
): Promise<Map<string, NamedImage>> {
  if (references.length === 0) return new Map()
  const names = [...new Set(references.map(imageNameOf))]
  const query = db
    .select({ name: images.name, digest: images.digest, info: images.info, ...diskColumns })
    .from(images)
    .innerJoin(manifests, eq(images.digest, manifests.digest))
    .where(inArray(images.name, names))
  const found = await (locks ? query.for('share', { of: images }) : query)
  const promoted = new Map<string, NamedImage>(found.map((image) => [image.name, image]))
  const versions = references.some((reference) => reference.includes('@'))
    ? await findVersionsOf(db, names)
    : []
  const picked = references.flatMap((reference) => {
    const image = pick(reference, promoted, versions)
    return image ? [{ ...image, name: reference }] : []
  })
  const damage = await countDamage(
    db,
    picked.map(({ digest }) => digest),
  )
  return new Map(
    picked.map((image) => {
      const damagedChunks = damage.get(image.digest)
      return [image.name, { ...image, ...(damagedChunks !== undefined && { damagedChunks }) }]
    }),
  )
}

const diskColumns = { sizeBytes: manifests.sizeBytes, sectorBytes: manifests.sectorBytes }

/** Newest first. */
function findVersionsOf(db: AnyDatabase, names: readonly string[]) {
  const { image, version, digest, info } = imageVersions
  return db
    .select({ name: image, version, digest, info, ...diskColumns })
    .from(imageVersions)
    .innerJoin(manifests, eq(digest, manifests.digest))
    .where(inArray(image, [...names]))
    .orderBy(desc(version))
}

function pick(
  reference: string,
  promoted: ReadonlyMap<string, NamedImage>,
  versions: readonly (NamedImage & { version: number })[],
): NamedImage | undefined {
  const { name, version } = parseImageReference(reference)
  if (version === undefined) return promoted.get(name)
  return versions.find(
    (each) => each.name === name && (version === 'latest' || each.version === version),
  )
}

/** Runs that are making an image of one of these names. In a transaction that `locks`, no other begins until it ends. */
export async function findActiveCaptures(
  db: AnyDatabase,
  names: readonly string[],
  { locks }: { locks: boolean },
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map()
  if (locks) for (const name of names.toSorted()) await lockImageName(db, name)
  const found = await db
    .select({ id: runs.id, image: runs.image })
    .from(runs)
    .where(
      and(
        eq(runs.workflow, 'capture'),
        inArray(runs.image, [...names]),
        inArray(runs.state, [...ACTIVE_RUN_STATES]),
      ),
    )
  return new Map(found.map(({ id, image }) => [image!, id]))
}

/** The machines that a run of the plan was made for, whatever became of it. */
export async function findUsedMachines(
  db: AnyDatabase,
  planId: string,
  machineKeys: readonly Mac[],
): Promise<Map<Mac, string>> {
  const found = await db
    .select({ mac: runs.mac, id: runs.id })
    .from(runs)
    .where(and(inArray(runs.mac, [...machineKeys]), eq(runs.planId, planId)))
  return new Map(found.map(({ mac, id }) => [mac, id]))
}
