import type { FinalRunState, Run } from '#protocol/run/run.ts'

/** All that decides what a machine boots next. */
export interface BootSituation {
  machine: {
    /** By an operator; others were only seen on the network. */
    entered: boolean
    lastInventoryAt: Date | undefined
  }
  /** The run that is `queued`, `booting` or `running`, if any. */
  activeRun: Pick<Run, 'id' | 'claimedBy'> | undefined
  /** The run that ended last, if any. */
  lastRun:
    | { workflow: Run['workflow']; state: FinalRunState; error: string | null; finishedAt: Date }
    | undefined
  /** What happens to machines that nobody entered. */
  unknown: 'inventory' | 'local' | 'ignore'
  /** Whether whoever asks is known to have the machine's MAC: only then is there a boot token. */
  isProven: boolean
  /** Scripts for an inventory that this machine got in the last hour. */
  inventoryScriptsLastHour: number
  now: Date
}

export type NextBoot =
  | { kind: 'agent'; purpose: 'run'; runId: string }
  | { kind: 'agent'; purpose: 'inventory' }
  | { kind: 'local'; notice?: string }

const INVENTORY_PAUSE_MS = 60 * 60 * 1000
/** A machine on which the agent cannot even say hello must get to its disk in the end. */
export const MAX_INVENTORY_SCRIPTS_AN_HOUR = 3
/** After that a failure is history, and each boot need not wait for it. */
const FAILURE_SHOWN_MS = 24 * 60 * 60 * 1000

/**
 * What the machine boots next. It changes nothing: whether a run ends here, since it was booted too
 * often, is for the rules of runs, which are asked first.
 */
export function nextBoot(situation: BootSituation): NextBoot {
  const { activeRun, isProven } = situation
  if (activeRun?.claimedBy === 'booty') return { kind: 'local' }
  if (activeRun && isProven) return { kind: 'agent', purpose: 'run', runId: activeRun.id }
  if (activeRun) return { kind: 'local', notice: `A run waits for this machine, ${UNPROVEN}` }
  if (isInventoryDue(situation) && isProven) return { kind: 'agent', purpose: 'inventory' }
  const isStranger = !situation.machine.entered && !situation.machine.lastInventoryAt
  const notice = failureNotice(situation) ?? (isStranger ? strangerNotice(situation) : undefined)
  return notice === undefined ? { kind: 'local' } : { kind: 'local', notice }
}

const UNPROVEN =
  'but the server cannot tell that the request came from it: ' +
  'the asking address holds no lease for this MAC and is no neighbour with it. ' +
  'Behind a relay, set STAMPEDE_TRUST_RELAYED=1'

/** Why a machine that nobody knows is not looked at, if it is for want of proof. */
export function strangerNotice({
  unknown,
  isProven,
}: Pick<BootSituation, 'unknown' | 'isProven'>): string | undefined {
  if (unknown !== 'inventory' || isProven) return undefined
  return `This machine is not known yet, ${UNPROVEN}`
}

function isInventoryDue(situation: BootSituation): boolean {
  const { machine, unknown, inventoryScriptsLastHour, now } = situation
  if (machine.entered || unknown !== 'inventory') return false
  if (inventoryScriptsLastHour >= MAX_INVENTORY_SCRIPTS_AN_HOUR) return false
  const { lastInventoryAt } = machine
  return !lastInventoryAt || now.getTime() - lastInventoryAt.getTime() >= INVENTORY_PAUSE_MS
}

function failureNotice({ lastRun, now }: BootSituation): string | undefined {
  if (!lastRun || (lastRun.state !== 'failed' && lastRun.state !== 'timed-out')) return undefined
  if (now.getTime() - lastRun.finishedAt.getTime() >= FAILURE_SHOWN_MS) return undefined
  const outcome = lastRun.state === 'failed' ? 'failed' : 'timed out'
  return `The last ${lastRun.workflow} ${outcome}: ${lastRun.error ?? 'no reason is known'}`
}
