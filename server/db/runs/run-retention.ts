import { inArray, sql } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { runLogs, runs } from '../schema.ts'

/** So few at once that nobody who asks the database meanwhile waits long. */
const BATCH_RUNS = 50
const BATCH_LINES = 5000

/**
 * Forgets some of the runs that ended before `limit`, with their logs, oldest first. Returns how many: none are left
 * when it is none. What a machine is known by stays: its latest run, the one that its state comes from, the one
 * that says what is on its disk, and its latest deploy that succeeded.
 */
export async function pruneRuns(db: Database, limit: Date): Promise<number> {
  const ids = await listForgettable(db, limit)
  if (ids.length === 0) return 0
  // Line by line first: with a talkative agent's log a single deletion would take seconds.
  while ((await deleteLines(db, ids)) === BATCH_LINES);
  await db.delete(runs).where(inArray(runs.id, ids))
  return ids.length
}

/** As machine-resource.ts derives state and content of a machine from its runs: ids rise with time. */
async function listForgettable(db: Database, limit: Date): Promise<string[]> {
  const result = await db.execute(sql`
    select old.id from runs old
    where old.finished_at < ${limit.toISOString()}
      and exists (select from runs later where later.mac = old.mac and later.id > old.id)
      and (old.state = 'cancelled' or old.workflow = 'verify' or exists (
        select from runs later where later.mac = old.mac and later.id > old.id
          and later.state <> 'cancelled' and later.workflow <> 'verify'))
      and (old.workflow not in ('deploy', 'wipe') or old.attempts = 0 or exists (
        select from runs later where later.mac = old.mac and later.id > old.id
          and later.workflow in ('deploy', 'wipe') and later.attempts > 0))
      and (old.workflow <> 'deploy' or old.state <> 'succeeded' or exists (
        select from runs later where later.mac = old.mac and later.id > old.id
          and later.workflow = 'deploy' and later.state = 'succeeded'))
    order by old.finished_at
    limit ${BATCH_RUNS}`)
  const { rows } = result as unknown as { rows: { id: string }[] } // both drivers answer so
  return rows.map(({ id }) => id)
}

async function deleteLines(db: Database, runIds: string[]): Promise<number> {
  const some = db
    .select({ place: sql`ctid` })
    .from(runLogs)
    .where(inArray(runLogs.runId, runIds))
    .limit(BATCH_LINES)
  const deleted = await db
    .delete(runLogs)
    .where(sql`ctid in ${some}`)
    .returning({ attempt: runLogs.attempt })
  return deleted.length
}
