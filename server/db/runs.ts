import { and, asc, count, desc, eq, gt, inArray, isNotNull, lt } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import {
  ACTIVE_RUN_STATES,
  FINAL_RUN_STATES,
  type LogLine,
  type Run,
  type RunState,
  type Workflow,
} from '#protocol/run.ts'
import type { Database, Transaction } from './database.ts'
import { recordEvent } from './events.ts'
import { recordMachine, type Page } from './machines.ts'
import { runLogs, runs } from './schema.ts'

export type RunRow = typeof runs.$inferSelect
export type NewRun = typeof runs.$inferInsert

/** How much of an agent's log a run is shown with. */
const SHOWN_LOG_LINES = 500

export function toRun(row: RunRow): Run {
  return {
    id: row.id,
    mac: row.mac,
    workflow: row.workflow,
    state: row.state,
    attempts: row.attempts,
    image: row.image,
    imageDigest: row.imageDigest,
    plan: row.planId,
    options: row.options,
    steps: row.steps,
    claimedBy: row.claimedBy,
    cancelRequested: row.cancelRequested,
    error: row.error,
    receipt: row.receipt,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
  }
}

export async function findRun(db: Database | Transaction, id: string): Promise<RunRow | undefined> {
  const [row] = await db.select().from(runs).where(eq(runs.id, id))
  return row
}

/** The one run of a machine that has not ended. */
export async function findActiveRun(
  db: Database | Transaction,
  machine: Mac,
): Promise<RunRow | undefined> {
  const [row] = await db
    .select()
    .from(runs)
    .where(and(eq(runs.mac, machine), inArray(runs.state, [...ACTIVE_RUN_STATES])))
  return row
}

/** The run that is about to make an image of that name. */
export async function findActiveCapture(
  db: Database | Transaction,
  image: string,
): Promise<RunRow | undefined> {
  const [row] = await db
    .select()
    .from(runs)
    .where(
      and(
        eq(runs.image, image),
        eq(runs.workflow, 'capture'),
        inArray(runs.state, [...ACTIVE_RUN_STATES]),
      ),
    )
  return row
}

/** The run of a machine that ended last. */
export async function findLastEndedRun(db: Database, machine: Mac): Promise<RunRow | undefined> {
  const [row] = await db
    .select()
    .from(runs)
    .where(and(eq(runs.mac, machine), isNotNull(runs.finishedAt)))
    .orderBy(desc(runs.finishedAt))
    .limit(1)
  return row
}

export interface RunFilter {
  machine?: Mac | undefined
  states?: readonly RunState[] | undefined
  workflow?: Workflow | undefined
  image?: string | undefined
  plan?: string | undefined
  /** Whether it has not ended yet. */
  active?: boolean | undefined
}

/** Newest first: ids of runs are UUIDv7, which sort by time. */
export async function listRuns(
  db: Database,
  filter: RunFilter,
  { after, limit }: Page,
): Promise<{ items: Run[]; next: string | null }> {
  const rows = await db
    .select()
    .from(runs)
    .where(
      and(
        filter.machine && eq(runs.mac, filter.machine),
        filter.states && inArray(runs.state, [...filter.states]),
        filter.workflow && eq(runs.workflow, filter.workflow),
        filter.image === undefined ? undefined : eq(runs.image, filter.image),
        filter.plan === undefined ? undefined : eq(runs.planId, filter.plan),
        filter.active === undefined ? undefined : inArray(runs.state, statesWhere(filter.active)),
        after === undefined ? undefined : lt(runs.id, after),
      ),
    )
    .orderBy(desc(runs.id))
    .limit(limit + 1)
  const page = rows.slice(0, limit)
  return { items: page.map(toRun), next: rows.length > limit ? page.at(-1)!.id : null }
}

function statesWhere(active: boolean): RunState[] {
  return active ? [...ACTIVE_RUN_STATES] : [...FINAL_RUN_STATES]
}

/** Runs that time may end. */
export async function listStartedRuns(db: Database): Promise<RunRow[]> {
  return db
    .select()
    .from(runs)
    .where(inArray(runs.state, ['booting', 'running']))
}

export async function countRunsByState(
  db: Database,
): Promise<{ state: RunState; workflow: Workflow; count: number }[]> {
  return db
    .select({ state: runs.state, workflow: runs.workflow, count: count() })
    .from(runs)
    .groupBy(runs.state, runs.workflow)
}

/** Throws a unique violation (failures.ts) if the machine has an active run already. */
export async function insertRun(tx: Transaction, run: NewRun): Promise<RunRow> {
  const [row] = await tx.insert(runs).values(run).returning()
  await recordRun(tx, row!)
  return row!
}

/**
 * Changes a run as `decide` says, looking at it under a lock, and records the events. Returns the run
 * afterwards, or undefined if there is none. Progress alone is no event: `quiet` says so.
 */
export async function changeRun<Decision extends { changes: Partial<RunRow> }>(
  tx: Transaction,
  id: string,
  decide: (run: RunRow) => Decision,
  isQuiet: (before: RunRow, after: RunRow) => boolean = () => false,
): Promise<{ run: RunRow; decision: Decision } | undefined> {
  const [before] = await tx.select().from(runs).where(eq(runs.id, id)).for('update')
  if (!before) return undefined
  const decision = decide(before)
  if (Object.keys(decision.changes).length === 0) return { run: before, decision }
  const [after] = await tx.update(runs).set(decision.changes).where(eq(runs.id, id)).returning()
  if (!isQuiet(before, after!)) await recordRun(tx, after!, before.state !== after!.state)
  return { run: after!, decision }
}

/** Records the run, and the machine too if its state may have changed with it. */
async function recordRun(tx: Transaction, run: RunRow, stateChanged = true): Promise<void> {
  await recordEvent(tx, 'run', toRun(run))
  if (stateChanged) await recordMachine(tx, run.mac)
}

/** Lines that are there already are left as they are. */
export async function appendLog(
  db: Database,
  runId: string,
  attempt: number,
  lines: { lineNumber: number; at: Date; text: string }[],
): Promise<void> {
  if (lines.length === 0) return
  await db
    .insert(runLogs)
    .values(lines.map((line) => ({ runId, attempt, ...line })))
    .onConflictDoNothing()
}

/** The end of the log of an attempt, oldest line first. */
export async function readLogEnd(db: Database, runId: string, attempt: number): Promise<LogLine[]> {
  const rows = await db
    .select()
    .from(runLogs)
    .where(and(eq(runLogs.runId, runId), eq(runLogs.attempt, attempt)))
    .orderBy(desc(runLogs.lineNumber))
    .limit(SHOWN_LOG_LINES)
  return rows.toReversed().map(toLogLine)
}

/** Lines of an attempt after the one with offset `after`, oldest first. */
export async function listLog(
  db: Database,
  { runId, attempt }: { runId: string; attempt: number },
  { after, limit }: { after: number; limit: number },
): Promise<{ items: LogLine[]; next: string | null }> {
  const rows = await db
    .select()
    .from(runLogs)
    .where(
      and(eq(runLogs.runId, runId), eq(runLogs.attempt, attempt), gt(runLogs.lineNumber, after)),
    )
    .orderBy(asc(runLogs.lineNumber))
    .limit(limit + 1)
  const page = rows.slice(0, limit)
  return {
    items: page.map(toLogLine),
    next: rows.length > limit ? String(page.at(-1)!.lineNumber) : null,
  }
}

function toLogLine({ lineNumber, at, text }: typeof runLogs.$inferSelect): LogLine {
  return { offset: lineNumber, at: at.toISOString(), text }
}
