import { setTimeout as sleep } from 'node:timers/promises'
import {
  REPORT_INTERVAL_MILLISECONDS,
  type Report,
  type ReportAnswer,
} from '#protocol/run/agent.ts'
import type { Step } from '#protocol/run/run.ts'
import { HttpStatusError } from './http.ts'
import { createRate } from '../rate.ts'

/** Nothing new to say, but still at work. */
const HEARTBEAT_MILLISECONDS = 10_000

type StepState = Pick<Step, 'state' | 'message' | 'error'>

/** Where a run stands, as steps tell it. */
export interface StepReporter {
  started(step: string): void
  progress(bytesDone: number, bytesTotal: number): void
  ended(step: string, end: StepState): void
}

export interface Reporter extends StepReporter, AsyncDisposable {}

export interface ReporterOptions {
  attempt: number
  send: (report: Report) => Promise<ReportAnswer>
  /** The operator cancelled, or the server no longer knows this attempt. */
  onStop: (reason: Error) => void
}

/** The run was cancelled by its operator. */
export class CancelledError extends Error {
  override name = 'CancelledError'
}

/** The server wants no more of this attempt: a later one has the run, or it has ended. */
export class SupersededError extends Error {
  override name = 'SupersededError'
}

type Reported = Pick<
  Report,
  'step' | 'state' | 'bytesDone' | 'bytesTotal' | 'bytesPerSecond' | 'message' | 'error'
>

/**
 * Reports one after the other, at most one a second. The ends of steps are never left out; of
 * progress only the latest is told. Disposing sends what is left.
 */
export function openReporter({ attempt, send, onStop }: ReporterOptions): Reporter {
  const ends: Reported[] = []
  let current: Reported | undefined
  let isNew = false
  let rate = createRate(performance.now())
  let sequence = 0
  let lastSentAt = -Infinity
  let isStopped = false
  const closing = new AbortController()

  async function sendOne(report: Reported): Promise<void> {
    lastSentAt = performance.now()
    const at = new Date().toISOString()
    try {
      const { cancel } = await send({ ...report, attempt, sequence: sequence++, at })
      if (cancel) onStop(new CancelledError('The run was cancelled'))
    } catch (err) {
      isStopped = true
      const isRefused = err instanceof HttpStatusError && err.status < 500
      const message = err instanceof Error ? err.message : String(err)
      onStop(isRefused ? new SupersededError(message) : new Error(message, { cause: err }))
    }
  }

  function next(): Reported | undefined {
    const end = ends.shift()
    if (end || !current) return end
    const isDue = isNew || performance.now() - lastSentAt >= HEARTBEAT_MILLISECONDS
    isNew = false
    return isDue ? current : undefined
  }

  async function loop(): Promise<void> {
    while (!isStopped && (!closing.signal.aborted || ends.length > 0)) {
      const report = next()
      if (report) await sendOne(report)
      await pause(ends.length > 0 ? undefined : closing.signal)
    }
  }

  const looping = loop()
  return {
    started(step) {
      rate = createRate(performance.now())
      current = { step, state: 'running', bytesDone: 0, bytesTotal: 0, bytesPerSecond: 0 }
      isNew = true
    },
    progress(bytesDone, bytesTotal) {
      if (!current) return
      const bytesPerSecond = rate.at(performance.now(), bytesDone)
      current = { ...current, bytesDone, bytesTotal, bytesPerSecond }
      isNew = true
    },
    ended(step, end) {
      const { bytesDone = 0, bytesTotal = 0, bytesPerSecond = 0 } = current ?? {}
      ends.push({ step, bytesDone, bytesTotal, bytesPerSecond, ...end })
      current = undefined
    },
    async [Symbol.asyncDispose]() {
      closing.abort()
      await looping
    },
  }
}

async function pause(signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(REPORT_INTERVAL_MILLISECONDS, undefined, signal && { signal })
  } catch {
    // Closing: what is left goes out now.
  }
}
