import type { Log, Report, ReportAnswer, Result } from '#protocol/run/agent.ts'
import { findMismatch } from '#protocol/run/expected-target.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Receipt, Run } from '#protocol/run/run.ts'
import type { Database, Transaction } from '#server/db/database.ts'
import { notifyProgress } from '#server/db/events.ts'
import { appendLog } from '#server/db/runs/run-logs.ts'
import { changeRun, listStartedRuns, toRun, type RunRow } from '#server/db/runs/runs.ts'
import type { Listening } from './listening.ts'
import { RunRefusedError } from './refused.ts'
import * as rules from './rules.ts'

/** What moves a run: each function asks the rules under a lock, and stores what they say. */

type Decide<Decided extends rules.Outcome> = (run: RunRow) => Decided

/** The receipt with the server's signature over it and the run as it is with it. */
export type SignReceipt = (
  run: Pick<Run, 'id' | 'mac' | 'workflow' | 'state' | 'attempts'>,
  receipt: Receipt,
) => Receipt

function withSignature(run: RunRow, outcome: rules.Outcome, sign: SignReceipt): rules.Outcome {
  const { changes } = outcome
  if (!changes.receipt || changes.receipt === run.receipt) return outcome
  const receipt = sign({ ...run, ...changes }, changes.receipt)
  return { ...outcome, changes: { ...changes, receipt } }
}

/**
 * Changes that come with a refusal (a run that ends because it was tried too often) are stored, and
 * the refusal is thrown after that.
 */
async function move<Decided extends rules.Outcome>(
  db: Database,
  id: string,
  decide: Decide<Decided>,
  isQuiet?: (before: RunRow, after: RunRow) => boolean,
): Promise<{ run: RunRow; decision: Decided }> {
  const moved = await db.transaction((tx) => changeRun(tx, id, decide, isQuiet))
  if (!moved) throw new RunRefusedError(404, 'not-found', `There is no run ${id}`)
  throwRefusal(id, moved.decision.refusal)
  return moved
}

export function throwRefusal(id: string, refusal: rules.Refusal | undefined): void {
  if (!refusal) return
  const status = refusal.code === 'unproven' || refusal.code === 'other-image' ? 422 : 409
  throw new RunRefusedError(status, refusal.code, `Run ${id}: ${refusal.message}`)
}

/** The machine was given the script that boots our agent for the run. */
export async function bootRun(db: Database, id: string, now: Date): Promise<RunRow> {
  return (await move(db, id, (run) => rules.boot(run, now))).run
}

/** The next attempt of an agent; in the caller's transaction, which keeps what goes with it. */
export async function helloRun(
  tx: Transaction,
  id: string,
  { disks }: Pick<Inventory, 'disks'>,
  now: Date,
): Promise<{ run: RunRow; refusal: rules.Refusal | undefined }> {
  const moved = await changeRun(tx, id, (run) => {
    const { disk } = run.options
    return rules.hello(run, now, (expected) => findMismatch(expected, disks, disk))
  })
  if (!moved) throw new RunRefusedError(404, 'not-found', `There is no run ${id}`)
  return { run: moved.run, refusal: moved.decision.refusal }
}

/** Ends an active run whatever it does; in the caller's transaction. */
export async function failRun(
  tx: Transaction,
  id: string,
  error: string,
  now: Date,
): Promise<RunRow | undefined> {
  const moved = await changeRun(tx, id, (run) => ({
    changes: rules.isActive(run) ? rules.end(run, 'failed', now, error) : {},
  }))
  return moved?.run
}

/** An unmodified BOOTy works on the run from now on. Throws RunRefusedError. */
export async function claimRunForBooty(db: Database, id: string, now: Date): Promise<RunRow> {
  return (await move(db, id, (run) => rules.claimForBooty(run, now))).run
}

/** Bytes of a run went over the wire, of one that reports nothing itself. */
export async function touchRun(
  db: Database,
  id: string,
  progress: { step: string; bytesDone: number; bytesTotal: number; bytesPerSecond: number },
  now: Date,
): Promise<void> {
  const state = 'running' as const
  const decide = (run: RunRow) =>
    rules.report(
      run,
      {
        ...progress,
        state,
        attempt: run.attempts,
        sequence: run.lastSequence + 1,
        at: now.toISOString(),
      },
      now,
    )
  const { run } = await move(db, id, decide, isProgressOnly)
  await notify(db, run, progress.step)
}

/** Ends a run that reports nothing itself. Throws RunRefusedError if it is over. */
export async function endRun(
  db: Database,
  id: string,
  body: Result,
  now: Date,
  sign: SignReceipt,
): Promise<RunRow> {
  const decide = (run: RunRow): rules.Outcome => {
    if (!rules.isActive(run))
      return { changes: {}, refusal: { code: 'run-over', message: `The run is ${run.state}` } }
    const changes = rules.end(run, body.state, now, body.error)
    return withSignature(run, { changes: { ...changes, receipt: body.receipt ?? null } }, sign)
  }
  return (await move(db, id, decide)).run
}

export async function reportRun(
  db: Database,
  id: string,
  body: Report,
  now: Date,
): Promise<ReportAnswer> {
  const { run, decision } = await move(
    db,
    id,
    (row) => rules.report(row, body, now),
    isProgressOnly,
  )
  await notify(db, run, body.step)
  return { cancel: decision.cancel }
}

/** Late lines of a run that is over are welcome too: they say why. */
export async function appendRunLog(
  db: Database,
  id: string,
  attempt: number,
  body: Log,
  now: Date,
): Promise<void> {
  const lines = body.lines.map(({ at, text }, index) => ({
    lineNumber: body.offset + index,
    at: momentOf(at, now),
    text,
  }))
  await appendLog(db, id, attempt, lines)
}

/** A machine's clock may be anywhere, and what it says need not be a time at all. */
function momentOf(text: string, now: Date): Date {
  const moment = new Date(text)
  const year = moment.getUTCFullYear()
  return year >= 1970 && year <= 9999 ? moment : now
}

export async function resultRun(
  db: Database,
  id: string,
  attempt: number,
  body: Result,
  now: Date,
  sign: SignReceipt,
): Promise<RunRow> {
  const decide = (run: RunRow) => withSignature(run, rules.result(run, attempt, body, now), sign)
  return (await move(db, id, decide)).run
}

export async function cancelRun(db: Database, id: string, now: Date): Promise<Run> {
  return toRun((await move(db, id, (run) => rules.cancel(run, now))).run)
}

/** Ends the runs whose time is up, and tells which; called every few seconds. */
export async function tickRuns(db: Database, { now, since }: Listening): Promise<RunRow[]> {
  const ended: RunRow[] = []
  for (const { id, ...seen } of await listStartedRuns(db)) {
    // Asked anew under the lock: another server may have heard the run since, by a clock that is behind.
    const tick = (run: rules.RunRecord) => {
      const heardAt = rules.lastHeardOf(run)
      return heardAt ? rules.tick(run, now, since(id, heardAt)) : undefined
    }
    if (!tick(seen)) continue
    const moved = await db.transaction((tx) =>
      changeRun(tx, id, (run) => ({ changes: tick(run) ?? {} })),
    )
    // One that ended by itself meanwhile was told of then.
    if (moved?.decision.changes.state) ended.push(moved.run)
  }
  return ended
}

/** Bytes alone are worth no stored event; a step's beginning and end are. */
function isProgressOnly(before: RunRow, after: RunRow): boolean {
  return before.state === after.state && rules.haveSameStates(before.steps, after.steps)
}

async function notify(db: Database, run: RunRow, stepName: string): Promise<void> {
  const progress = progressOf(run, stepName)
  if (progress) await notifyProgress(db, progress)
}

/** What listeners are told of a step; undefined if the run has none of that name. */
export function progressOf(run: RunRow, stepName: string) {
  const step = run.steps.find(({ name }) => name === stepName)
  if (!step) return undefined
  const { name, state, bytesDone, bytesTotal, bytesPerSecond } = step
  const { lastReportAt, timesOutAt } = toRun(run)
  const progress = { state, bytesDone, bytesTotal, bytesPerSecond, lastReportAt, timesOutAt }
  return { run: run.id, mac: run.mac, step: name, ...progress }
}
