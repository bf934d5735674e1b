import { AGENT_SILENCE_SECONDS, type Report, type Result } from '#protocol/run/agent.ts'
import type { ExpectedTarget } from '#protocol/run/plan.ts'
import {
  BOOTING_TIMEOUT_SECONDS,
  MAX_ATTEMPTS,
  RUNNING_TIMEOUT_SECONDS,
} from '#protocol/run/run-silence.ts'
import type { Receipt, Run, RunState, Step, StepName, Workflow } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/** The life of a run: queued → booting → running → succeeded, failed, cancelled or timed-out. */

/** BOOTy waits 10 s before it reboots, and a machine needs some time to come back. */
export const BOOTY_REBOOT_SECONDS = 30

/** What the rules look at. */
export interface RunRecord {
  workflow: Workflow
  /** Of the image that the run deploys or compares with. */
  imageDigest: Sha256 | null
  state: RunState
  attempts: number
  steps: Step[]
  /** From the plan that the run is held to. */
  expected: ExpectedTarget | null
  claimedBy: Run['claimedBy']
  cancelRequested: boolean
  error: string | null
  receipt: Receipt | null
  lastSequence: number
  bootedAt: Date | null
  startedAt: Date | null
  attemptAt: Date | null
  lastReportAt: Date | null
  finishedAt: Date | null
}

export type RunChanges = Partial<RunRecord>

/** What comes of something that happened: what changes, or why it is refused, or both. */
export interface Outcome {
  changes: RunChanges
  refusal?: Refusal
}

export interface Refusal {
  /** Stable and kebab-case, as in the API. */
  code:
    | 'run-over'
    | 'agent-active'
    | 'claimed'
    | 'too-many-attempts'
    | 'plan-mismatch'
    | 'old-attempt'
    | 'unproven'
    | 'other-image'
  message: string
}

const UNCHANGED: Outcome = { changes: {} }

export function isActive(run: Pick<RunRecord, 'state'>): boolean {
  return run.state === 'queued' || run.state === 'booting' || run.state === 'running'
}

/** The machine got the script that boots our agent, with a token that only it can have. */
export function boot(run: RunRecord, now: Date): Outcome {
  if (run.state === 'queued') return { changes: { state: 'booting', bootedAt: now } }
  if (run.state === 'running' && run.attempts >= MAX_ATTEMPTS) return tooManyAttempts(run, now)
  return UNCHANGED
}

/**
 * An agent wants to work on the run: the next attempt, unless the machine is not as planned, which
 * `findMismatch` tells of what the run expects now.
 */
export function hello(
  run: RunRecord,
  now: Date,
  findMismatch: (expected: ExpectedTarget) => string | undefined = () => undefined,
): Outcome {
  if (!isActive(run)) return refuse('run-over', `The run is ${run.state}`)
  if (run.claimedBy === 'booty') return refuse('claimed', 'BOOTy works on the run already')
  if (run.cancelRequested) return { changes: end(run, 'cancelled', now) }
  if (isAtWork(run, now))
    return refuse(
      'agent-active',
      `Another agent reported less than ${AGENT_SILENCE_SECONDS} seconds ago; try again later`,
    )
  if (run.attempts >= MAX_ATTEMPTS) return tooManyAttempts(run, now)
  const expected = expectedNow(run)
  const mismatch = expected ? findMismatch(expected) : undefined
  if (mismatch !== undefined)
    return {
      changes: end(run, 'failed', now, mismatch),
      refusal: { code: 'plan-mismatch', message: mismatch },
    }
  return { changes: start(run, 'agent', now) }
}

/** Whether an agent reported so lately that it is at work on the run. */
export function isAtWork({ lastReportAt }: Pick<RunRecord, 'lastReportAt'>, now: Date): boolean {
  return lastReportAt !== null && isWithin(AGENT_SILENCE_SECONDS, lastReportAt, now)
}

/** Whether the agent of this attempt has said hello, and nothing more. */
export function isUnreported(run: RunRecord, attempt: number): boolean {
  return run.state === 'running' && run.attempts === attempt && run.lastReportAt === null
}

/** BOOTy fetched its configuration: it reports nothing, so this is all that starts its run. */
export function claimForBooty(run: RunRecord, now: Date): Outcome {
  if (!isActive(run)) return refuse('run-over', `The run is ${run.state}`)
  if (run.claimedBy === 'agent') return refuse('claimed', 'Our agent works on the run already')
  if (run.cancelRequested) return { changes: end(run, 'cancelled', now) }
  // Asked again so soon, with not a byte of the image gone: it is the same boot.
  if (isUnreported(run, run.attempts) && isWithin(BOOTY_REBOOT_SECONDS, run.attemptAt!, now))
    return UNCHANGED
  if (run.attempts >= MAX_ATTEMPTS) return tooManyAttempts(run, now)
  return { changes: { ...start(run, 'booty', now), bootedAt: run.bootedAt ?? now } }
}

export interface ReportOutcome extends Outcome {
  cancel: boolean
}

/** A repeated report changes nothing and gets the same answer. */
export function report(run: RunRecord, body: Report, now: Date): ReportOutcome {
  const refusal = checkAttempt(run, body.attempt)
  // A cancelled agent that did not hear our answer asks again.
  if (run.state === 'cancelled' && !refusal) return { ...UNCHANGED, cancel: true }
  if (!isActive(run)) return { ...refuse('run-over', `The run is ${run.state}`), cancel: true }
  if (refusal) return { changes: {}, refusal, cancel: true }
  if (body.sequence <= run.lastSequence) return { ...UNCHANGED, cancel: run.cancelRequested }
  const heard = {
    steps: run.steps.map((step) => (step.name === body.step ? update(step, body, now) : step)),
    lastSequence: body.sequence,
    lastReportAt: now,
  }
  if (!run.cancelRequested) return { changes: heard, cancel: false }
  return { changes: { ...heard, ...end({ ...run, ...heard }, 'cancelled', now) }, cancel: true }
}

/**
 * Whether a report changes nothing but how far a step got, so that it need not be looked at under a lock.
 * The first of an attempt does more: it says that the answer to its hello came through.
 */
export function isProgressOnly(run: RunRecord, { changes, refusal }: ReportOutcome): boolean {
  if (refusal || run.state !== 'running' || run.cancelRequested) return false
  if (Object.keys(changes).length === 0) return true
  const isFirst = run.lastReportAt === null
  return !isFirst && changes.state === undefined && haveSameStates(run.steps, changes.steps ?? [])
}

export function haveSameStates(before: readonly Step[], after: readonly Step[]): boolean {
  return (
    before.length === after.length &&
    after.every((step, index) => step.state === before[index]?.state)
  )
}

/** How the agent says it ended. */
export function result(run: RunRecord, attempt: number, body: Result, now: Date): Outcome {
  const refusal = checkAttempt(run, attempt)
  if (refusal) return { changes: {}, refusal }
  if (run.state === body.state) return UNCHANGED
  const proven = body.receipt?.imageDigest
  // The server signs what it keeps: never that a run was about another image than its own.
  if (run.imageDigest !== null && proven !== undefined && proven !== run.imageDigest)
    return refuse(
      'other-image',
      `The receipt is about image ${proven}, but the run about ${run.imageDigest}`,
    )
  // Cancelled at its last report: how the agent ended does not change that, but what it proves does.
  if (run.state === 'cancelled') return { changes: { receipt: body.receipt ?? run.receipt } }
  if (!isActive(run)) return refuse('run-over', `The run is ${run.state}`)
  if (mustProve(run) && body.state === 'succeeded' && !body.receipt?.imageVerified)
    return refuse(
      'unproven',
      `A run of workflow "${run.workflow}" succeeds only with a receipt that says imageVerified`,
    )
  const changes = end(run, body.state, now, body.error)
  return { changes: { ...changes, receipt: body.receipt ?? null } }
}

/** What ends well only if the disk was read and holds the image. */
function mustProve({ workflow }: RunRecord): boolean {
  return workflow === 'deploy' || workflow === 'verify'
}

/** What an operator's cancel does: a queued run ends at once, others when the agent hears of it. */
export function cancel(run: RunRecord, now: Date): Outcome {
  if (run.state === 'cancelled') return UNCHANGED
  if (!isActive(run)) return refuse('run-over', `The run is ${run.state} already`)
  if (run.state === 'queued') return { changes: end(run, 'cancelled', now) }
  return { changes: { cancelRequested: true } }
}

/**
 * What time alone does. Called every few seconds. Before `listeningSince` nobody was there to be told, or somebody
 * still was: a run that went on while the server was away has all its time to say so.
 */
export function tick(run: RunRecord, now: Date, listeningSince: Date): RunChanges | undefined {
  if (run.state !== 'booting' && run.state !== 'running') return undefined
  const heardAt = lastHeardOf(run)
  if (!heardAt) return undefined
  // Heard before the clock was set back, or by a server whose clock is ahead.
  const isAhead = secondsBetween(now, heardAt) > RUNNING_TIMEOUT_SECONDS
  const silentSince = heardAt > listeningSince && !isAhead ? heardAt : listeningSince
  const silentSeconds = secondsBetween(silentSince, now)
  if (run.cancelRequested && silentSeconds >= AGENT_SILENCE_SECONDS)
    return end(run, 'cancelled', now)
  if (run.state === 'booting' && silentSeconds >= BOOTING_TIMEOUT_SECONDS)
    return end(
      run,
      'timed-out',
      now,
      `The machine fetched its boot script, but no agent said hello within ${BOOTING_TIMEOUT_SECONDS / 60} minutes; look at its console`,
    )
  if (run.state === 'running' && silentSeconds >= RUNNING_TIMEOUT_SECONDS)
    return end(
      run,
      'timed-out',
      now,
      `No report for ${RUNNING_TIMEOUT_SECONDS / 60} minutes, the last one at ${heardAt.toISOString()}; look at the machine's console`,
    )
  return undefined
}

/** Ends the run; steps that had not ended say how far they got. */
export function end(
  run: RunRecord,
  state: 'succeeded' | 'failed' | 'cancelled' | 'timed-out',
  now: Date,
  error?: string,
): RunChanges {
  return {
    state,
    finishedAt: now,
    error: state === 'succeeded' ? null : (error ?? defaultError(state)),
    steps: run.steps.map((step) => endStep(step, state === 'succeeded', now)),
  }
}

function start(run: RunRecord, claimedBy: 'agent' | 'booty', now: Date): RunChanges {
  return {
    state: 'running',
    claimedBy,
    attempts: run.attempts + 1,
    startedAt: run.startedAt ?? now,
    attemptAt: now,
    lastReportAt: null,
    lastSequence: -1,
    expected: expectedNow(run),
    steps: run.steps.map(({ name }) => createStep(name)),
  }
}

/** Steps after whose beginning the disk is not what an inventory before them said. */
const WRITING_STEPS: ReadonlySet<string> = new Set<StepName>(['write-image', 'wipe-disk'])

/** As far as the agent's reports say: it says so before it begins. */
export function hasWritten({ steps }: Pick<RunRecord, 'steps'>): boolean {
  return steps.some(
    ({ name, state }) => WRITING_STEPS.has(name) && state !== 'pending' && state !== 'skipped',
  )
}

/**
 * What the next attempt must find. Once an attempt of the run has begun to write, what is on the disk
 * is its own half of an image; the disk is still the planned one.
 */
function expectedNow(run: RunRecord): ExpectedTarget | null {
  if (!run.expected || !hasWritten(run)) return run.expected
  const { fingerprint: _overwritten, ...identity } = run.expected
  return identity
}

export function createStep(name: string): Step {
  return { name, state: 'pending', bytesDone: 0, bytesTotal: 0, bytesPerSecond: 0 }
}

function update(step: Step, body: Report, now: Date): Step {
  const ended = body.state !== 'pending' && body.state !== 'running'
  return {
    ...step,
    state: body.state,
    bytesDone: body.bytesDone,
    bytesTotal: body.bytesTotal,
    bytesPerSecond: body.bytesPerSecond,
    ...(body.message !== undefined && { message: body.message }),
    ...(body.error !== undefined && { error: body.error }),
    ...(body.state !== 'pending' && { startedAt: step.startedAt ?? now.toISOString() }),
    ...(ended && { finishedAt: now.toISOString() }),
  }
}

function endStep(step: Step, succeeded: boolean, now: Date): Step {
  if (step.state === 'pending') return { ...step, state: 'skipped' }
  if (step.state !== 'running') return step
  const state = succeeded ? 'succeeded' : 'failed'
  return { ...step, state, finishedAt: now.toISOString() }
}

function defaultError(state: 'failed' | 'cancelled' | 'timed-out'): string | null {
  return state === 'failed' ? 'The agent reported a failure without a reason' : null
}

function tooManyAttempts(run: RunRecord, now: Date): Outcome {
  const message = `Booted ${MAX_ATTEMPTS} times, never finished`
  return {
    changes: end(run, 'failed', now, message),
    refusal: { code: 'too-many-attempts', message },
  }
}

function checkAttempt(run: RunRecord, attempt: number): Refusal | undefined {
  if (attempt === run.attempts) return undefined
  return {
    code: 'old-attempt',
    message: `Attempt ${attempt} is not the run's current one, which is ${run.attempts}`,
  }
}

/** By the clock of the server that heard it. */
export function lastHeardOf(
  run: Pick<RunRecord, 'state' | 'bootedAt' | 'lastReportAt' | 'attemptAt'>,
): Date | null {
  if (run.state === 'booting') return run.bootedAt
  return run.lastReportAt ?? run.attemptAt
}

function refuse(code: Refusal['code'], message: string): Outcome {
  return { changes: {}, refusal: { code, message } }
}

/** Also where one server's clock is behind another's, but not for as long as a clock was set back. */
function isWithin(seconds: number, from: Date, to: Date): boolean {
  return Math.abs(secondsBetween(from, to)) < seconds
}

function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000
}
