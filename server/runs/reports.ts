import { setTimeout as sleep } from 'node:timers/promises'
import type { Report, ReportAnswer } from '#protocol/run/agent.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { changedRunOf, EVENTS_CHANNEL, notifyProgresses } from '#server/db/events.ts'
import { saveProgress, type RunProgress } from '#server/db/runs/run-progress.ts'
import { findRun, type RunRow } from '#server/db/runs/runs.ts'
import { progressOf, reportRun } from './moves.ts'
import * as rules from './rules.ts'

/** After a crash a run knows as much less of its progress, and nothing else. */
const SAVE_MILLISECONDS = 3000
/** How long progress may wait for that of others, to go out together. */
const NOTIFY_MILLISECONDS = 500
/** Runs as they were read; more than that report only if somebody made them up. */
const MAX_KNOWN_RUNS = 2048

export interface RunReports extends AsyncDisposable {
  /** Throws RunRefusedError. */
  report(id: string, body: Report, now: Date): Promise<ReportAnswer>
  /** The run with what was reported since it was saved. */
  withProgress(run: RunRow): RunRow
  /** Saves what was reported, of this run or of all. */
  save(id?: string): Promise<void>
  /** The run was changed here: what is known of it holds no more. */
  forget(id: string): void
}

export interface RunReportsOptions {
  database: OpenedDatabase
  onError: (err: unknown) => void
}

/**
 * Takes the agents' reports. Two hundred agents that each report every second would keep a database busy
 * with nothing but bytes done, so reports that tell only of progress are kept here and saved
 * together every few seconds. All that changes more is decided by the database, under its lock: of several
 * servers each may get any report.
 */
export async function openRunReports({
  database,
  onError,
}: RunReportsOptions): Promise<RunReports> {
  const { db } = database
  const known = new Map<string, Promise<RunRow | undefined>>()
  const unsaved = new Map<string, RunProgress>()
  const untold = new Map<string, object>()
  const stop = new AbortController()
  let saving = Promise.resolve()
  const listening = await database.listen(EVENTS_CHANNEL, (payload) => {
    const id = changedRunOf(payload)
    if (id === 'any') known.clear()
    else if (id !== undefined) known.delete(id)
  })

  const withProgress = (run: RunRow) => merge(run, unsaved.get(run.id))

  function look(id: string): Promise<RunRow | undefined> {
    const present = known.get(id)
    if (present) return present
    if (known.size >= MAX_KNOWN_RUNS) known.clear()
    const reading = findRun(db, id)
    known.set(id, reading)
    reading.catch(() => known.delete(id)) // whoever asked gets the error
    return reading
  }

  async function report(id: string, body: Report, now: Date): Promise<ReportAnswer> {
    const reading = look(id)
    const row = await reading
    if (row && known.get(id) === reading) {
      const run = withProgress(row)
      const outcome = rules.report(run, body, now)
      if (rules.isProgressOnly(run, outcome)) {
        const progress = progressIn(run, outcome.changes, body.step)
        if (progress) keep(run, progress, body.step)
        return { cancel: outcome.cancel }
      }
    }
    await save(id)
    try {
      return await reportRun(db, id, body, now)
    } finally {
      known.delete(id)
    }
  }

  function keep(run: RunRow, progress: RunProgress, stepName: string): void {
    unsaved.set(run.id, progress)
    const told = progressOf(merge(run, progress), stepName)
    if (told) untold.set(run.id, told)
  }

  /** One save at a time, so that none overtakes another. */
  function save(id?: string): Promise<void> {
    if (id !== undefined && !unsaved.has(id)) return Promise.resolve()
    const saved = saving.then(() => saveNow(id))
    saving = saved.catch(() => {}) // whoever asked gets the error
    return saved
  }

  async function saveNow(id?: string): Promise<void> {
    const some = [...unsaved.values()].filter((progress) => id === undefined || progress.id === id)
    if (some.length === 0) return
    const saved = await saveProgress(db, some)
    for (const progress of some) {
      if (unsaved.get(progress.id) === progress) unsaved.delete(progress.id)
      // Not as it was read: another server, or time, moved it on.
      if (!saved.has(progress.id)) known.delete(progress.id)
      else if (known.has(progress.id)) refresh(progress)
    }
  }

  function refresh(progress: RunProgress): void {
    const reading = known.get(progress.id)!
    const read = reading.then((row) => row && merge(row, progress))
    known.set(progress.id, read)
    read.catch(() => known.delete(progress.id))
  }

  async function tell(): Promise<void> {
    const all = [...untold.values()]
    untold.clear()
    if (all.length > 0) await notifyProgresses(db, all)
  }

  async function every(milliseconds: number, work: () => Promise<void>): Promise<void> {
    while (!stop.signal.aborted) {
      await sleep(milliseconds, undefined, { signal: stop.signal }).catch(() => {})
      await work().catch(onError)
    }
  }

  const working = [every(SAVE_MILLISECONDS, () => save()), every(NOTIFY_MILLISECONDS, tell)]
  return {
    report,
    withProgress,
    save,
    forget: (id) => void known.delete(id),
    async [Symbol.asyncDispose]() {
      stop.abort() // each works once more, which saves what is left
      await Promise.all(working)
      await listening[Symbol.asyncDispose]()
    },
  }
}

/** What of the changes is to be saved; undefined for a report that was seen before. */
function progressIn(
  run: RunRow,
  { steps, lastSequence, lastReportAt }: rules.RunChanges,
  stepName: string,
): RunProgress | undefined {
  if (!steps || lastSequence === undefined || !lastReportAt) return undefined
  const place = steps.findIndex(({ name }) => name === stepName)
  const step = steps[place]
  if (!step) return undefined
  return { id: run.id, attempt: run.attempts, place, step, lastSequence, lastReportAt }
}

/** As the database merges it: what was overtaken meanwhile is dropped. */
function merge(run: RunRow, progress: RunProgress | undefined): RunRow {
  if (!progress || run.state !== 'running' || run.attempts !== progress.attempt) return run
  if (run.lastSequence >= progress.lastSequence) return run
  if (run.steps[progress.place]?.state !== 'running') return run
  const { lastSequence, lastReportAt } = progress
  return {
    ...run,
    steps: run.steps.with(progress.place, progress.step),
    lastSequence,
    lastReportAt,
  }
}
