import { inArray, sql } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import { MAX_MACHINE_TAGS, type Machine } from '#protocol/machine/machine.ts'
import { ACTIVE_RUN_STATES } from '#protocol/run/run.ts'
import type { Database, Transaction } from '../database.ts'
import { forgetMachines, tellActive } from './delete-machines.ts'
import { recordEvents } from '../events.ts'
import { chunkMachines } from './machine-chunks.ts'
import { isAmong, toMachines, type MachineRow } from './machine-resource.ts'
import { machineMacs, machines, runs } from '../schema.ts'

export interface BulkChange {
  /** null removes it. */
  image?: string | null
  locked?: boolean
  addTags?: readonly string[]
  removeTags?: readonly string[]
}

export interface RefusedMachine {
  mac: Mac
  error: { code: string; message: string }
}

/** Changes each of them, or says why not; what was done by then stays if the server stops midway. */
export async function changeMachines(
  db: Database,
  macs: readonly Mac[],
  change: BulkChange,
): Promise<{ items: Machine[]; refused: RefusedMachine[] }> {
  const items: Machine[] = []
  const refused: RefusedMachine[] = []
  for await (const chunk of chunkMachines(db, macs)) {
    const done = await db.transaction((tx) => changeChunk(tx, chunk, change))
    items.push(...done.items)
    refused.push(...done.refused)
  }
  return { items, refused }
}

async function changeChunk(tx: Transaction, macs: readonly Mac[], change: BulkChange) {
  const { rows, refused } = await findRows(tx, macs)
  const changed: MachineRow[] = []
  for (const row of rows.values()) {
    const tags = changeTags(row.tags, change)
    if (tags.length > MAX_MACHINE_TAGS) refused.push(tooManyTags(row, tags.length))
    else
      changed.push({
        ...row,
        tags,
        ...(change.image !== undefined && { image: change.image }),
        ...(change.locked !== undefined && { locked: change.locked }),
        entered: true,
        state: row.state === 'discovered' ? 'ready' : row.state,
      })
  }
  const values = changed.map(({ mac, image, locked, tags, state }) => ({
    mac,
    image,
    locked,
    tags,
    state,
  }))
  await tx.execute(sql`
    update ${machines} set
      image = changed.image, locked = changed.locked, tags = changed.tags,
      state = changed.state, entered = true
    from jsonb_to_recordset(${JSON.stringify(values)}::jsonb)
      as changed(mac text, image text, locked boolean, tags jsonb, state text)
    where ${machines.mac} = changed.mac`)
  const whole = await toMachines(tx, changed)
  recordEvents(tx, 'machine', whole)
  return { items: whole.map(({ inventory: _inventory, ...machine }) => machine), refused }
}

function changeTags(tags: readonly string[], { addTags = [], removeTags = [] }: BulkChange) {
  return [...new Set([...tags, ...addTags])].filter((tag) => !removeTags.includes(tag))
}

function tooManyTags({ mac, name }: MachineRow, count: number): RefusedMachine {
  const message = `Machine "${name}" would have ${count} tags, more than ${MAX_MACHINE_TAGS}; remove some first`
  return { mac, error: { code: 'too-many-tags', message } }
}

/** Forgets each of them and its runs, or says why not. */
export async function deleteMachines(
  db: Database,
  macs: readonly Mac[],
): Promise<{ deleted: Mac[]; refused: RefusedMachine[] }> {
  const deleted: Mac[] = []
  const refused: RefusedMachine[] = []
  for await (const chunk of chunkMachines(db, macs)) {
    const done = await db.transaction((tx) => deleteChunk(tx, chunk))
    deleted.push(...done.deleted)
    refused.push(...done.refused)
  }
  return { deleted, refused }
}

async function deleteChunk(tx: Transaction, macs: readonly Mac[]) {
  const { rows, refused } = await findRows(tx, macs)
  for (const run of await findActive(tx, [...rows.keys()])) {
    rows.delete(run.mac)
    refused.push({
      mac: run.mac,
      error: { code: 'run-active', message: tellActive(run.mac, run) },
    })
  }
  const whole = await toMachines(tx, [...rows.values()])
  await forgetMachines(tx, whole)
  return { deleted: [...rows.keys()], refused }
}

function findActive(tx: Transaction, keys: readonly Mac[]) {
  return tx
    .select({ id: runs.id, mac: runs.mac, state: runs.state })
    .from(runs)
    .where(sql`${inArray(runs.state, [...ACTIVE_RUN_STATES])} and ${isAmong(runs.mac, keys)}`)
}

/** The machines by their keys, whichever of their cards were named, locked until the end. */
async function findRows(tx: Transaction, macs: readonly Mac[]) {
  const cards = await tx.select().from(machineMacs).where(isAmong(machineMacs.mac, macs))
  const keyOf = new Map(cards.map(({ mac, machine }) => [mac, machine]))
  // In one order, so that two such calls cannot wait for each other.
  const found = await tx
    .select()
    .from(machines)
    .where(isAmong(machines.mac, [...new Set(keyOf.values())]))
    .orderBy(machines.mac)
    .for('update')
  const rows = new Map(found.map((row) => [row.mac, row]))
  const refused = macs.filter((mac) => !rows.has(keyOf.get(mac) ?? mac)).map(unknownMachine)
  return { rows, refused }
}

function unknownMachine(mac: Mac): RefusedMachine {
  return { mac, error: { code: 'not-found', message: `There is no machine with MAC ${mac}` } }
}
