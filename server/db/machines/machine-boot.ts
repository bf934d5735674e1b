import { eq } from 'drizzle-orm'
import { advanceBoot, type BootStep } from '#protocol/machine/boot-progress.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database, Transaction } from '../database.ts'
import { isUniqueViolation } from '../failures.ts'
import { hasRoom, holdMachineRow, insertMachine, isSeenOfLate, recordMachine } from './machines.ts'
import { machineMacs, machines } from '../schema.ts'

export interface BootStepOptions {
  /** Whether a machine that nobody knew appears with it. */
  creates: boolean
}

/** A machine came one step further on its way. What tells nothing new costs one look and no write. */
export async function recordBootStep(
  db: Database,
  mac: Mac,
  step: BootStep,
  { creates }: BootStepOptions,
): Promise<void> {
  const present = await findBoot(db, mac)
  if (!present && !creates) return
  if (present && !advanceBoot(present.boot ?? undefined, step) && isSeenOfLate(present, step.at))
    return
  try {
    await db.transaction((tx) => record(tx, mac, step, creates))
  } catch (err) {
    // Two packets of one new machine came to two servers at once: the other one entered it.
    if (!isUniqueViolation(err)) throw err
    await db.transaction((tx) => record(tx, mac, step, creates))
  }
}

async function record(tx: Transaction, mac: Mac, step: BootStep, creates: boolean): Promise<void> {
  const present = await holdMachineRow(tx, mac)
  if (!present && !(creates && (await hasRoom(tx)))) return
  if (!present) await insertMachine(tx, mac, false)
  const key = present?.mac ?? mac
  await saveBootStep(tx, { mac: key, boot: present?.boot ?? null }, step)
  await recordMachine(tx, key)
}

/** In the caller's transaction, which records the machine. */
export async function saveBootStep(
  tx: Transaction,
  machine: Pick<typeof machines.$inferSelect, 'mac' | 'boot'>,
  step: BootStep,
): Promise<void> {
  const boot = advanceBoot(machine.boot ?? undefined, step) ?? machine.boot
  await tx.update(machines).set({ boot, lastSeenAt: step.at }).where(eq(machines.mac, machine.mac))
}

async function findBoot(db: Database, mac: Mac) {
  const [found] = await db
    .select({ boot: machines.boot, lastSeenAt: machines.lastSeenAt })
    .from(machineMacs)
    .innerJoin(machines, eq(machineMacs.machine, machines.mac))
    .where(eq(machineMacs.mac, mac))
  return found
}
