import type { FastifyBaseLogger } from 'fastify'
import type { Mac } from '#protocol/mac.ts'
import type { FinalRunState } from '#protocol/run.ts'
import { nextBoot, type NextBoot } from '#server/boot/next-boot.ts'
import { writeScript } from '#server/boot/script.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import {
  findMachineRow,
  saveInventoryBoots,
  seeMachine,
  touchMachine,
  type MachineRow,
} from '#server/db/machines.ts'
import { findActiveRun, findLastEndedRun } from '#server/db/runs.ts'
import { saveBootToken } from '#server/db/tokens.ts'
import { bootRun } from '#server/runs/moves.ts'
import { RunRefusedError } from '#server/runs/refused.ts'
import { createToken, hashToken } from './auth.ts'

export interface BootScriptOptions {
  database: OpenedDatabase
  /** How machines reach us. */
  serverUrl: () => string
  unknown: 'inventory' | 'local' | 'ignore'
  log: FastifyBaseLogger
}

const HOUR_MILLISECONDS = 3_600_000

/**
 * The iPXE script of a machine at this moment. If `isProven`, the asker has the MAC: only then is there a
 * token, and anything but `lastSeenAt` changes.
 */
export async function bootScript(
  options: BootScriptOptions,
  { mac, isProven, now }: { mac: Mac; isProven: boolean; now: Date },
): Promise<string> {
  const { db } = options.database
  await seeMachine(db, mac, now, { creates: isProven && options.unknown !== 'ignore' })
  const machine = await findMachineRow(db, mac)
  if (!machine) return writeScript({ kind: 'local', mac })
  await touchMachine(db, machine.mac, now)

  const next = await decide(options, machine, { isProven, now })
  options.log.info({ mac, machine: machine.mac, ...next }, 'Machine asked for its boot script')
  if (next.kind === 'local') return writeScript({ ...next, mac })
  if (next.purpose === 'inventory') {
    const boots = [...recentInventoryBoots(machine, now), now]
    await saveInventoryBoots(db, machine.mac, boots)
  }
  const bootToken = createToken()
  await saveBootToken(db, hashToken(bootToken), mac, now)
  const { purpose } = next
  return writeScript({ kind: 'agent', purpose, url: options.serverUrl(), mac, bootToken })
}

/** Asks the rules of the run first: it may end here, because it was booted too often. */
async function decide(
  { database, unknown }: BootScriptOptions,
  machine: MachineRow,
  { isProven, now }: { isProven: boolean; now: Date },
): Promise<NextBoot> {
  const { db } = database
  const waiting = await findActiveRun(db, machine.mac)
  if (waiting && isProven && waiting.claimedBy !== 'booty') {
    await bootRun(db, waiting.id, now).catch((err: unknown) => {
      if (!(err instanceof RunRefusedError)) throw err
    })
  }
  const activeRun = await findActiveRun(db, machine.mac)
  const ended = await findLastEndedRun(db, machine.mac)
  return nextBoot({
    machine: { entered: machine.entered, lastInventoryAt: machine.lastInventoryAt ?? undefined },
    activeRun,
    lastRun: ended && {
      workflow: ended.workflow,
      state: ended.state as FinalRunState, // it has ended
      error: ended.error,
      finishedAt: ended.finishedAt!,
    },
    unknown,
    isProven,
    inventoryScriptsLastHour: recentInventoryBoots(machine, now).length,
    now,
  })
}

function recentInventoryBoots(machine: MachineRow, now: Date): Date[] {
  return machine.inventoryBoots
    .map((text) => new Date(text))
    .filter((at) => now.getTime() - at.getTime() < HOUR_MILLISECONDS)
}
