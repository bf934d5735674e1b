import { and, eq, inArray, isNull, lt, lte, ne, sql } from 'drizzle-orm'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { isUniqueViolation } from '../failures.ts'
import { deriveFields, descriptionOf, toMachines, type MachineRow } from './machine-resource.ts'
import { machineMacs, machines, runs } from '../schema.ts'

export type { MachineRow } from './machine-resource.ts'

export interface Page {
  /** The `next` of the page before. */
  after: string | undefined
  limit: number
}

/** Only what an operator may set; absent columns stay as they are. */
export type OperatorFields = Partial<
  Pick<MachineRow, 'name' | 'hostname' | 'image' | 'locked' | 'tags' | 'disk' | 'network'>
>

/** How old `lastSeenAt` may be before it is worth a write or an event. */
const SEEN_INTERVAL_SECONDS = 60

/** Anybody on the network can make machines up: so many are kept, and for so long. */
const MAX_DISCOVERED_MACHINES = 4096
const DISCOVERED_SECONDS = 7 * 24 * 3600

/** Nobody entered it, no agent told of it, and nothing was ever run on it. */
const isUnclaimed = and(
  eq(machines.entered, false),
  isNull(machines.inventory),
  sql`not exists (select from ${runs} where ${runs.mac} = ${machines.mac})`,
)

/** What a machine is called before somebody names it: its MAC as a host name. */
export function defaultName(mac: Mac): string {
  return mac.replaceAll(':', '-')
}

/** The machine that has this network card, whichever of its cards it is. */
export async function findMachineRow(
  db: Database | Transaction,
  mac: Mac,
): Promise<MachineRow | undefined> {
  const [found] = await selectByCard(db, mac)
  return found?.machine
}

/** The same, and it is not deleted until the transaction ends. */
export async function holdMachineRow(tx: Transaction, mac: Mac): Promise<MachineRow | undefined> {
  const [found] = await selectByCard(tx, mac).for('key share', { of: machines })
  return found?.machine
}

function selectByCard(db: Database | Transaction, mac: Mac) {
  return db
    .select({ machine: machines })
    .from(machineMacs)
    .innerJoin(machines, eq(machineMacs.machine, machines.mac))
    .where(eq(machineMacs.mac, mac))
}

/** All cards of the machine that has this one; none if there is no such machine. */
export async function findMachineMacs(db: Database | Transaction, mac: Mac): Promise<Mac[]> {
  const machine = db
    .select({ machine: machineMacs.machine })
    .from(machineMacs)
    .where(eq(machineMacs.mac, mac))
  const rows = await db
    .select({ mac: machineMacs.mac })
    .from(machineMacs)
    .where(inArray(machineMacs.machine, machine))
  return rows.map((row) => row.mac)
}

export async function findMachine(
  db: Database | Transaction,
  mac: Mac,
): Promise<Machine | undefined> {
  const row = await findMachineRow(db, mac)
  if (!row) return undefined
  return (await toMachines(db, [row]))[0]
}

/** Sees the machine as it is while nobody else can change it, and throws to leave it so. */
export type CheckMachine = (current: MachineRow | undefined) => void

/** Creates or changes a machine as an operator does. */
export async function saveMachine(
  db: Database,
  mac: Mac,
  fields: OperatorFields,
  check?: CheckMachine,
): Promise<Machine> {
  try {
    return await db.transaction((tx) => save(tx, mac, fields, check))
  } catch (err) {
    // It appeared between our look and our insert; now it is there to be changed.
    if (!isUniqueViolation(err)) throw err
    return db.transaction((tx) => save(tx, mac, fields, check))
  }
}

async function save(
  tx: Transaction,
  mac: Mac,
  fields: OperatorFields,
  check: CheckMachine | undefined,
): Promise<Machine> {
  const present = await lockMachineRow(tx, mac)
  check?.(present)
  const key = present?.mac ?? mac
  if (!present) await insertMachine(tx, mac, true)
  await tx
    .update(machines)
    .set({ ...fields, entered: true })
    .where(eq(machines.mac, key))
  return recordMachine(tx, key)
}

/** It stays as it is until the transaction ends, and no run is queued for it. */
export async function lockMachineRow(tx: Transaction, mac: Mac): Promise<MachineRow | undefined> {
  const found = await findMachineRow(tx, mac)
  if (!found) return undefined
  const [row] = await tx.select().from(machines).where(eq(machines.mac, found.mac)).for('update')
  return row
}

/**
 * A machine was heard of at `now`. One that nobody knew appears as `discovered`, if what was heard
 * `creates` it.
 */
export async function seeMachine(
  db: Database,
  mac: Mac,
  now: Date,
  { creates }: { creates: boolean },
): Promise<void> {
  const present = await findMachineRow(db, mac)
  if (present ? isSeenOfLate(present, now) : !creates) return
  try {
    await db.transaction((tx) => see(tx, mac, now, creates))
  } catch (err) {
    // Two packets of one new machine came at once: the other one entered it.
    if (!isUniqueViolation(err)) throw err
  }
}

/** Whether to be heard of at `now` is no news of the machine. */
export function isSeenOfLate({ lastSeenAt }: Pick<MachineRow, 'lastSeenAt'>, now: Date): boolean {
  return lastSeenAt !== null && now.getTime() - lastSeenAt.getTime() < SEEN_INTERVAL_SECONDS * 1000
}

async function see(tx: Transaction, mac: Mac, now: Date, creates: boolean): Promise<void> {
  const present = await holdMachineRow(tx, mac)
  if (!present && !(creates && (await hasRoom(tx)))) return
  if (!present) await insertMachine(tx, mac, false)
  const key = present?.mac ?? mac
  await tx.update(machines).set({ lastSeenAt: now }).where(eq(machines.mac, key))
  await recordMachine(tx, key)
}

/** Whether one more machine that nobody asked for may be kept. */
export async function hasRoom(tx: Transaction): Promise<boolean> {
  return (await tx.$count(machines, isUnclaimed)) < MAX_DISCOVERED_MACHINES
}

/** Forgets machines that were only ever seen, and not of late. */
export async function pruneMachines(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - DISCOVERED_SECONDS * 1000)
  await db.delete(machines).where(and(isUnclaimed, lt(machines.lastSeenAt, limit)))
}

/** Sets `lastSeenAt` of a known machine, without an event. */
export async function touchMachine(db: Database, key: Mac, now: Date): Promise<void> {
  await db.update(machines).set({ lastSeenAt: now }).where(eq(machines.mac, key))
}

/** Remembers when the machine was sent to boot our agent for an inventory. */
export async function saveInventoryBoots(db: Database, key: Mac, boots: Date[]): Promise<void> {
  const inventoryBoots = boots.map((at) => at.toISOString())
  await db.update(machines).set({ inventoryBoots }).where(eq(machines.mac, key))
}

export async function insertMachine(tx: Transaction, mac: Mac, entered: boolean): Promise<void> {
  await tx.insert(machines).values({ mac, name: defaultName(mac), entered })
  await tx.insert(machineMacs).values({ mac, machine: mac })
}

export interface InventoryRecord {
  inventory: Inventory
  macs: Mac[]
  /** Kept only where the record has none yet. */
  smbiosUuid: string | undefined
  smbiosSerial: string | undefined
  now: Date
}

/** What an agent told of the machine that it runs on. Its other cards become the machine's. */
export async function saveInventory(
  tx: Transaction,
  machine: MachineRow,
  { inventory, macs, smbiosUuid, smbiosSerial, now }: InventoryRecord,
): Promise<void> {
  await tx
    .update(machines)
    .set({
      inventory,
      ...descriptionOf(inventory),
      smbiosUuid: machine.smbiosUuid ?? smbiosUuid ?? null,
      smbiosSerial: machine.smbiosSerial ?? smbiosSerial ?? null,
      lastSeenAt: now,
      lastInventoryAt: now,
    })
    .where(eq(machines.mac, machine.mac))
  for (const mac of macs) await adoptMac(tx, machine.mac, mac)
}

/**
 * What the disks are like after the run that ended at `now`, unless a later inventory knows better:
 * an agent that did not hear our answer tells its result again.
 */
export async function saveInventoryAfterRun(
  db: Database,
  key: Mac,
  inventory: Inventory,
  now: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    const changed = await tx
      .update(machines)
      .set({ inventory, lastInventoryAt: now })
      .where(and(eq(machines.mac, key), lte(machines.lastInventoryAt, now)))
      .returning({ mac: machines.mac })
    if (changed.length > 0) await recordMachine(tx, key)
  })
}

/**
 * A card that appeared as a machine of its own, because its DHCP came first, joins the machine that
 * it belongs to; but nothing that an operator entered or ran is thrown away.
 */
async function adoptMac(tx: Transaction, machine: Mac, mac: Mac): Promise<void> {
  await tx
    .delete(machines)
    .where(and(eq(machines.mac, mac), ne(machines.mac, machine), isUnclaimed))
  await tx.insert(machineMacs).values({ mac, machine }).onConflictDoNothing()
}

/** Records the machine as it is now as an event, after what its row repeats of its runs. */
export async function recordMachine(tx: Transaction, key: Mac): Promise<Machine> {
  // An operator may be changing it this moment: what is told last must be what it is at last.
  const [row] = await tx.select().from(machines).where(eq(machines.mac, key)).for('no key update')
  if (!row) throw new Error(`Machine ${key} vanished within a transaction`)
  const derived = await deriveFields(tx, { ...row, hasInventory: row.inventory !== null })
  if (derived.state !== row.state || derived.imageDigest !== row.imageDigest)
    await tx.update(machines).set(derived).where(eq(machines.mac, key))
  const [machine] = await toMachines(tx, [{ ...row, ...derived }])
  recordEvent(tx, 'machine', machine!)
  return machine!
}
