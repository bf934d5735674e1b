import { eq, inArray } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import type { Database } from './database.ts'
import { recordEvent } from './events.ts'
import { findMachine, lockMachineRow, type MachineRow } from './machines.ts'
import { findActiveRun, type RunRow } from './runs.ts'
import { bootTokens, machines } from './schema.ts'

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
    const key = machine.mac as Mac
    await tx.delete(bootTokens).where(inArray(bootTokens.mac, machine.macs as Mac[]))
    await tx.delete(machines).where(eq(machines.mac, key))
    recordEvent(tx, 'machine', { ...machine, deleted: true })
    return true
  })
}
