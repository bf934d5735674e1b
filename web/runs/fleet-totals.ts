import type { Run } from '#protocol/run/run.ts'
import { secondsLeft } from '../components/format.ts'
import { currentStep, isActive, isFailure } from './run-words.ts'
import { fractionDone } from './time-left.ts'

/** Many runs at once: what to look at first, and what they add up to. */

export interface FleetTotals {
  done: number
  failed: number
  cancelled: number
  /** Queued, booting or running. */
  left: number
  running: number
  bytesPerSecond: number
  /** Of the slowest run that tells; undefined: none tells. */
  secondsLeft: number | undefined
  /** Runs that are left and tell no time: not at work yet, silent, or in a step without bytes. */
  timeless: number
}

/** `silent`: ids of runs whose agents say nothing, so that their last rates hold no longer. */
export function fleetTotals(runs: readonly Run[], silent: ReadonlySet<string>): FleetTotals {
  const left = runs.filter(isActive)
  const running = left.filter(({ state }) => state === 'running')
  const heard = running.filter(({ id }) => !silent.has(id))
  const steps = heard.map(currentStep).filter((step) => step?.state === 'running')
  const times = steps.map((step) => step && secondsLeft(step)).filter((time) => time !== undefined)
  return {
    done: runs.filter(({ state }) => state === 'succeeded').length,
    failed: runs.filter(isFailure).length,
    cancelled: runs.filter(({ state }) => state === 'cancelled').length,
    left: left.length,
    running: running.length,
    bytesPerSecond: steps.reduce((sum, step) => sum + (step?.bytesPerSecond ?? 0), 0),
    secondsLeft: times.length === 0 ? undefined : Math.max(...times),
    timeless: left.length - times.length,
  }
}

/** Failed first, then those at work with the slowest first, then those that wait, then the rest. */
export function byUrgency(left: Run, right: Run): number {
  return (
    rank(left) - rank(right) || doneOf(left) - doneOf(right) || left.mac.localeCompare(right.mac)
  )
}

const RANKS: Record<Run['state'], number> = {
  failed: 0,
  'timed-out': 0,
  running: 1,
  booting: 2,
  queued: 3,
  cancelled: 4,
  succeeded: 5,
}

function rank({ state }: Run): number {
  return RANKS[state]
}

/** How far a run at work is: steps done, and the part of the present one. */
function doneOf(run: Run): number {
  if (run.state !== 'running') return 0
  const done = run.steps.filter(({ state }) => state === 'succeeded' || state === 'skipped').length
  const step = currentStep(run)
  return done + (step?.state === 'running' ? (fractionDone(step) ?? 0) : 0)
}
