import type { FastifyBaseLogger } from 'fastify'
import type { Mac } from '#protocol/mac.ts'
import type { BootStep } from '#protocol/machine/boot-progress.ts'
import type { FinalRunState, Workflow } from '#protocol/run/run.ts'
import {
  nextBoot,
  strangerNotice,
  type BootSituation,
  type NextBoot,
} from '#server/boot/next-boot.ts'
import { writeScript } from '#server/boot/script.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { recordBootStep } from '#server/db/machines/machine-boot.ts'
import {
  findMachineRow,
  saveInventoryBoots,
  seeMachine,
  touchMachine,
  type MachineRow,
} from '#server/db/machines/machines.ts'
import { findActiveRun, findLastEndedRun, type RunRow } from '#server/db/runs/runs.ts'
import { saveBootToken } from '#server/db/machines/tokens.ts'
import { bootRun } from '#server/runs/moves.ts'
import { RunRefusedError } from '#server/runs/refused.ts'
import { boot, isActive, type RunChanges } from '#server/runs/rules.ts'
import { createToken, hashToken } from '../access/auth.ts'

export interface BootScriptOptions {
  database: OpenedDatabase
  /** How machines reach us. */
  serverUrl: () => string
  unknown: 'inventory' | 'local' | 'ignore'
  log: FastifyBaseLogger
}

const HOUR_MILLISECONDS = 3_600_000
/** Stands where a token would; as harmless a word as those are. */
const TOKEN_PLACE = 'place-of-the-token'
/** Of what the console shows; errors can be long. */
const MAX_NOTICE_CHARACTERS = 300
const TASKS: Record<Workflow, string> = {
  deploy: 'a deploy',
  capture: 'a capture',
  verify: 'a verify',
  wipe: 'a wipe',
  inventory: 'an inventory',
}

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
  if (!machine) {
    const notice = strangerNotice({ ...options, isProven })
    return writeScript({ kind: 'local', mac, ...(notice !== undefined && { notice }) })
  }
  await touchMachine(db, machine.mac, now)

  const { next, activeRun } = await decide(options, machine, { isProven, now })
  if (isProven) await recordBootStep(db, mac, scriptStep(next, activeRun, now), { creates: false })
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

/**
 * The script that the machine would get if it asked now from an address that proves it, with
 * `<token>` for the token. Changes nothing.
 */
export async function previewScript(
  options: Omit<BootScriptOptions, 'log'>,
  { mac, machine, now }: { mac: Mac; machine: MachineRow; now: Date },
): Promise<string> {
  const { db } = options.database
  const waiting = await findActiveRun(db, machine.mac)
  const after = waiting && { ...waiting, ...afterBoot(waiting, now) }
  const isOver = after !== undefined && !isActive(after)
  const ended = isOver ? after : await findLastEndedRun(db, machine.mac)
  const next = nextBoot(
    situationOf(options, machine, {
      activeRun: isOver ? undefined : after,
      ended,
      isProven: true,
      now,
    }),
  )
  if (next.kind === 'local') return writeScript({ ...next, mac })
  const { purpose } = next
  const url = options.serverUrl()
  const script = writeScript({ kind: 'agent', purpose, url, mac, bootToken: TOKEN_PLACE })
  return script.replaceAll(TOKEN_PLACE, '<token>')
}

/** As `bootRun` would change it, were the machine to ask. */
function afterBoot(run: RunRow, now: Date): RunChanges {
  return run.claimedBy === 'booty' ? {} : boot(run, now).changes
}

/** Asks the rules of the run first: it may end here, because it was booted too often. */
async function decide(
  options: BootScriptOptions,
  machine: MachineRow,
  { isProven, now }: { isProven: boolean; now: Date },
): Promise<{ next: NextBoot; activeRun: RunRow | undefined }> {
  const { db } = options.database
  const waiting = await findActiveRun(db, machine.mac)
  if (waiting && isProven && waiting.claimedBy !== 'booty') {
    await bootRun(db, waiting.id, now).catch((err: unknown) => {
      if (!(err instanceof RunRefusedError)) throw err
    })
  }
  const activeRun = await findActiveRun(db, machine.mac)
  const ended = await findLastEndedRun(db, machine.mac)
  return {
    next: nextBoot(situationOf(options, machine, { activeRun, ended, isProven, now })),
    activeRun,
  }
}

/** What the operator reads of it. */
function scriptStep(next: NextBoot, activeRun: RunRow | undefined, at: Date): BootStep {
  const stage = 'script'
  if (next.kind === 'agent') {
    const workflow = next.purpose === 'run' ? activeRun!.workflow : 'inventory'
    return { stage, at, detail: `agent, for ${TASKS[workflow]}` }
  }
  const notice = next.notice && `, after: ${next.notice.slice(0, MAX_NOTICE_CHARACTERS)}`
  return { stage, at, detail: `local disk${notice ?? ''}`, endsAtScript: true }
}

function situationOf(
  { unknown }: Pick<BootScriptOptions, 'unknown'>,
  machine: MachineRow,
  facts: {
    activeRun: RunRow | undefined
    ended: RunRow | undefined
    isProven: boolean
    now: Date
  },
): BootSituation {
  const { activeRun, ended, isProven, now } = facts
  return {
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
  }
}

function recentInventoryBoots(machine: MachineRow, now: Date): Date[] {
  return machine.inventoryBoots
    .map((text) => new Date(text))
    .filter((at) => now.getTime() - at.getTime() < HOUR_MILLISECONDS)
}
