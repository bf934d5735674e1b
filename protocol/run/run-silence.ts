import type { RunState } from './run.ts'

/** What a run makes of a machine that says nothing, or begins anew. */

/** Hellos of agents, of a machine that boots again before its run has ended. */
export const MAX_ATTEMPTS = 3

/** From the boot script to the agent's hello. */
export const BOOTING_TIMEOUT_SECONDS = 15 * 60
/** Without a report. */
export const RUNNING_TIMEOUT_SECONDS = 10 * 60
/** Twice as long as an agent with nothing new to say is quiet, and some more: it waits, or is gone. */
const SILENT_SECONDS = 25

export interface HeardRun {
  state: RunState
  claimedBy: 'agent' | 'booty' | null
  lastReportAt: string | null
  timesOutAt: string | null
}

export interface Silence {
  seconds: number
  since: Date
  /** When the run ends if nothing comes; undefined once that is past, and the server about to end it. */
  timesOutAt: Date | undefined
}

/** How long the run's agent has said nothing, if that is longer than it has reason to. */
export function silenceOf(run: HeardRun, now: Date): Silence | undefined {
  if (run.state !== 'running' || run.claimedBy !== 'agent' || run.timesOutAt === null)
    return undefined
  const timesOutAt = new Date(run.timesOutAt)
  // An attempt that has not reported yet began that long ago.
  const heardAt = timesOutAt.getTime() - RUNNING_TIMEOUT_SECONDS * 1000
  const seconds = Math.floor((now.getTime() - heardAt) / 1000)
  if (seconds < SILENT_SECONDS) return undefined
  const since = new Date(heardAt)
  return { seconds, since, timesOutAt: timesOutAt > now ? timesOutAt : undefined }
}

/** A sentence and a half for people; `formatTime` as they read times. */
export function describeSilence(
  { seconds, timesOutAt }: Silence,
  formatTime: (time: Date) => string,
): string {
  const length = seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`
  const end = timesOutAt ? `it fails at ${formatTime(timesOutAt)}` : 'it is about to fail'
  return `No report for ${length}; the agent waits for the server or is gone; unless it comes back, ${end}`
}
