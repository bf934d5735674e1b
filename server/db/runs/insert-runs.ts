import type { Transaction } from '../database.ts'
import { recordEvents } from '../events.ts'
import { isAmong, toMachines } from '../machines/machine-resource.ts'
import { toRun, type NewRun, type RunRow } from './runs.ts'
import { machines, runs } from '../schema.ts'

/**
 * Queues many runs at once. Returns those that were made: a machine that has an active run already
 * gets no other.
 */
export async function insertRuns(tx: Transaction, queued: readonly NewRun[]): Promise<RunRow[]> {
  if (queued.length === 0) return []
  const rows = await tx
    .insert(runs)
    .values([...queued])
    .onConflictDoNothing()
    .returning()
  const changed = await tx
    .update(machines)
    .set({ state: 'queued' })
    .where(
      isAmong(
        machines.mac,
        rows.map(({ mac }) => mac),
      ),
    )
    .returning()
  const whole = await toMachines(tx, changed)
  recordEvents(tx, 'run', rows.map(toRun))
  recordEvents(tx, 'machine', whole)
  return rows
}
