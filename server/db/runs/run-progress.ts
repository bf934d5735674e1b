import { sql } from 'drizzle-orm'
import type { Step } from '#protocol/run/run.ts'
import type { Database } from '../database.ts'
import { runs } from '../schema.ts'

/** How far a running step got, as its agent last reported. */
export interface RunProgress {
  id: string
  attempt: number
  /** Of the step, in the run's list. */
  place: number
  step: Step
  lastSequence: number
  lastReportAt: Date
}

/**
 * Saves the progress of many runs in one statement, without events. Runs that moved on since, or heard of
 * a later report, stay as they are; returned are the ids of the others.
 */
export async function saveProgress(
  db: Database,
  progresses: readonly RunProgress[],
): Promise<Set<string>> {
  // In one order, so that two servers that save the same runs do not wait for each other for ever.
  const sorted = progresses.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const result = await db.execute(sql`
    update ${runs} set
      steps = jsonb_set(${runs.steps}, array[heard.place::text], heard.step),
      last_sequence = heard."lastSequence",
      last_report_at = heard."lastReportAt"
    from jsonb_to_recordset(${JSON.stringify(sorted)}::jsonb) as heard(
      id uuid, attempt integer, place integer, step jsonb,
      "lastSequence" integer, "lastReportAt" timestamptz)
    where ${runs.id} = heard.id
      and ${runs.state} = 'running'
      and ${runs.attempts} = heard.attempt
      and ${runs.lastSequence} < heard."lastSequence"
      and ${runs.steps} -> heard.place ->> 'state' = 'running'
    returning ${runs.id} as id`)
  const { rows } = result as unknown as { rows: { id: string }[] } // both drivers answer so
  return new Set(rows.map(({ id }) => id))
}
