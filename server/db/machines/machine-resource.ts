import { and, eq, inArray, sql, type SQL } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { identifyingText } from '#protocol/machine/machine-identity.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Mac } from '#protocol/mac.ts'
import type { ActiveRun, Machine, MachineState } from '#protocol/machine/machine.ts'
import { ACTIVE_RUN_STATES, type Step } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { timesOutAt } from '../runs/run-deadline.ts'
import { machineMacs, runs, type machines } from '../schema.ts'

export type MachineRow = typeof machines.$inferSelect
type RunRow = typeof runs.$inferSelect

/** What a machine is shown with, but for its inventory: these are kilobytes each and stored apart from their rows. */
export const MACHINE_LINE = [
  'mac',
  'name',
  'hostname',
  'image',
  'locked',
  'tags',
  'disk',
  'network',
  'state',
  'manufacturer',
  'product',
  'serial',
  'imageDigest',
  'lastSeenAt',
  'boot',
] as const satisfies (keyof MachineRow)[]
export type MachineLine = Pick<MachineRow, (typeof MACHINE_LINE)[number]> & {
  inventory?: Inventory | null
}

/** What other tables know of a machine and its row repeats, as it should be now. */
export type DerivedFields = Pick<MachineRow, 'state' | 'imageDigest'>

/** Machines with all that other tables know of them, in as many queries whatever their number. */
export async function toMachines(
  db: Database | Transaction,
  rows: readonly MachineLine[],
): Promise<Machine[]> {
  const keys = rows.map((row) => row.mac)
  if (keys.length === 0) return []
  const macsOf = await readMacs(db, keys)
  const active = await db
    .select({
      id: runs.id,
      mac: runs.mac,
      workflow: runs.workflow,
      state: runs.state,
      steps: runs.steps,
      createdAt: runs.createdAt,
      claimedBy: runs.claimedBy,
      bootedAt: runs.bootedAt,
      attemptAt: runs.attemptAt,
      lastReportAt: runs.lastReportAt,
    })
    .from(runs)
    .where(and(inArray(runs.state, [...ACTIVE_RUN_STATES]), isAmong(runs.mac, keys)))
  const runOf = new Map(active.map((run) => [run.mac, run]))
  return rows.map((row) => toMachine(row, macsOf.get(row.mac) ?? [], runOf.get(row.mac)))
}

/** As one text: to take thousands of short rows apart costs several times what it costs to find them. */
async function readMacs(
  db: Database | Transaction,
  keys: readonly Mac[],
): Promise<Map<Mac, Mac[]>> {
  const { mac, machine } = machineMacs
  const [cards] = await db
    .select({
      text: sql<string | null>`string_agg(${machine} || ' ' || ${mac}, ',' order by ${mac})`,
    })
    .from(machineMacs)
    .where(isAmong(machine, keys))
  const macsOf = new Map<Mac, Mac[]>()
  for (const card of cards?.text?.split(',') ?? []) {
    const [key, own] = card.split(' ') as [Mac, Mac]
    const macs = macsOf.get(key)
    if (macs) macs.push(own)
    else macsOf.set(key, [own])
  }
  return macsOf
}

/** One parameter, however many keys. */
export function isAmong(column: PgColumn, keys: readonly Mac[]): SQL {
  return sql`${column} = any(${sql.param(keys)}::text[])`
}

function toMachine(row: MachineLine, macs: Mac[], run: ActiveRow | undefined): Machine {
  const optional = {
    hostname: row.hostname,
    image: row.image,
    disk: row.disk,
    network: row.network,
    manufacturer: row.manufacturer,
    product: row.product,
    serial: row.serial,
    inventory: row.inventory,
    boot: row.boot,
    imageDigest: row.imageDigest,
    run: run && toActiveRun(run),
  }
  const machine: Machine = {
    mac: row.mac,
    macs,
    name: row.name,
    locked: row.locked,
    tags: row.tags,
    state: row.state,
    lastSeenAt: row.lastSeenAt?.toISOString() ?? null,
  }
  for (const [name, value] of Object.entries(optional))
    if (value !== null && value !== undefined) Object.assign(machine, { [name]: value })
  return machine
}

type ActiveRow = Parameters<typeof timesOutAt>[0] &
  Pick<RunRow, 'id' | 'workflow' | 'steps' | 'createdAt' | 'claimedBy'>

function toActiveRun(run: ActiveRow): ActiveRun {
  const step = currentStep(run.steps)
  return {
    id: run.id,
    workflow: run.workflow,
    state: run.state as ActiveRun['state'], // only active ones are asked for
    step: step?.name ?? null,
    bytesDone: step?.bytesDone ?? 0,
    bytesTotal: step?.bytesTotal ?? 0,
    bytesPerSecond: step?.bytesPerSecond ?? 0,
    createdAt: run.createdAt.toISOString(),
    claimedBy: run.claimedBy,
    lastReportAt: run.lastReportAt?.toISOString() ?? null,
    timesOutAt: timesOutAt(run)?.toISOString() ?? null,
  }
}

/** The step that is being done, or was the last one to be. */
function currentStep(steps: readonly Step[]): Step | undefined {
  return (
    steps.find(({ state }) => state === 'running') ??
    steps.findLast(({ state }) => state !== 'pending')
  )
}

/** Reads from the machine's runs what its row repeats. */
export async function deriveFields(
  tx: Transaction,
  row: Pick<MachineRow, 'mac' | 'entered'> & { hasInventory: boolean },
): Promise<DerivedFields> {
  // A cancelled run leaves the machine as it was before, and so does one that only looked at its disk.
  const [latest] = await tx
    .select({ state: runs.state, workflow: runs.workflow })
    .from(runs)
    .where(
      and(
        eq(runs.mac, row.mac),
        sql`${runs.state} <> 'cancelled'`,
        sql`(${runs.workflow} <> 'verify' or ${runs.state} in ('queued', 'booting', 'running'))`,
      ),
    )
    .orderBy(sql`${runs.id} desc`)
    .limit(1)
  return { state: machineState(row, latest), imageDigest: await findDeployed(tx, row.mac) }
}

/** A run that began to write and did not come to its end leaves nobody knows what. */
async function findDeployed(tx: Transaction, mac: Mac): Promise<MachineRow['imageDigest']> {
  return (await findDeployedImage(tx, mac))?.imageDigest ?? null
}

/** The image that the machine's disk holds by its last receipt, and by which name it was deployed. */
export async function findDeployedImage(
  tx: Transaction,
  mac: Mac,
): Promise<{ image: string; imageDigest: Sha256 } | undefined> {
  const [latest] = await tx
    .select({
      workflow: runs.workflow,
      image: runs.image,
      imageDigest: runs.imageDigest,
      receipt: runs.receipt,
    })
    .from(runs)
    .where(
      and(eq(runs.mac, mac), inArray(runs.workflow, ['deploy', 'wipe']), sql`${runs.attempts} > 0`),
    )
    .orderBy(sql`${runs.id} desc`)
    .limit(1)
  const isThere = latest?.receipt?.imageVerified || latest?.receipt?.delivered
  if (latest?.workflow !== 'deploy' || !isThere) return undefined
  const { image, imageDigest } = latest
  return image !== null && imageDigest !== null ? { image, imageDigest } : undefined
}

function machineState(
  row: { entered: boolean; hasInventory: boolean },
  run: Pick<RunRow, 'state' | 'workflow'> | undefined,
): MachineState {
  switch (run?.state) {
    case 'queued':
    case 'booting':
    case 'running':
      return run.state
    case 'failed':
    case 'timed-out':
      return 'failed'
    case 'succeeded':
      return run.workflow === 'deploy' ? 'deployed' : 'ready'
    case 'cancelled':
    case undefined:
      return row.entered || row.hasInventory ? 'ready' : 'discovered'
  }
}

/** How a person would tell the machine from others; what firmware says where nobody filled it in is no help. */
export function descriptionOf({
  smbios,
}: Inventory): Pick<MachineRow, 'manufacturer' | 'product' | 'serial'> {
  const useful = (text: string | undefined) => (identifyingText(text) ? text!.trim() : null)
  return {
    manufacturer: useful(smbios.manufacturer),
    product: useful(smbios.product),
    serial: useful(smbios.serial),
  }
}
