import { BOOTING_TIMEOUT_SECONDS, RUNNING_TIMEOUT_SECONDS } from '#protocol/run/run-silence.ts'
import type { runs } from '../schema.ts'

type HeardRow = Pick<typeof runs.$inferSelect, 'state' | 'bootedAt' | 'attemptAt' | 'lastReportAt'>

/** When a run of which nothing is heard ends; undefined where time ends nothing. */
export function timesOutAt(run: HeardRow): Date | undefined {
  const heardAt = run.state === 'booting' ? run.bootedAt : (run.lastReportAt ?? run.attemptAt)
  if (!heardAt || (run.state !== 'booting' && run.state !== 'running')) return undefined
  const seconds = run.state === 'booting' ? BOOTING_TIMEOUT_SECONDS : RUNNING_TIMEOUT_SECONDS
  return new Date(heardAt.getTime() + seconds * 1000)
}
