import { inArray } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvents } from '../events.ts'
import { isAmong } from './machine-resource.ts'
import { findMachine, lockMachineRow, type MachineRow } from './machines.ts'
import { findActiveRun, type RunRow } from '../runs/runs.ts'
import { bootTokens, machines } from '../schema.ts'

/** False if there is none. `check` is given its active run, too, and may throw to keep it. */
export async function deleteMachine(
  db: Database,
  mac: Mac,
  check: (current: MachineRow | undefined, active: RunRow | undefined) => void,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const row = await lockMachineRow(tx, mac)
    check(row, row && (await findActiveRun(tx, row.mac)))
    const machine = await findMachine(tx, mac)
    if (!machine) return false
    await forgetMachines(tx, [machine])
    return true
  })
}

/** With their runs, and the boot tokens of all their cards. */
export async function forgetMachines(tx: Transaction, whole: readonly Machine[]): Promise<void> {
  const cards = whole.flatMap(({ macs }) => macs as Mac[])
  if (cards.length > 0) await tx.delete(bootTokens).where(inArray(bootTokens.mac, cards))
  const keys = whole.map(({ mac }) => mac as Mac)
  await tx.delete(machines).where(isAmong(machines.mac, keys))
  recordEvents(
    tx,
    'machine',
    whole.map((machine) => ({ ...machine, deleted: true })),
  )
}

/** Why a machine is not deleted. */
export function tellActive(mac: Mac, { state, id }: Pick<RunRow, 'state' | 'id'>): string {
  return `Machine ${mac} is ${state} with run ${id}; cancel it first`
}
