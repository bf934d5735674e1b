import { and, count, desc, eq, inArray, isNotNull, lt } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import {
  ACTIVE_RUN_STATES,
  FINAL_RUN_STATES,
  type Run,
  type RunState,
  type Workflow,
} from '#protocol/run/run.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { recordMachine, type Page } from '../machines/machines.ts'
import { namedLike } from '../images/image-usage.ts'
import { timesOutAt } from './run-deadline.ts'
import { runs } from '../schema.ts'

export type RunRow = typeof runs.$inferSelect
export type NewRun = typeof runs.$inferInsert

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
    lastReportAt: row.lastReportAt?.toISOString() ?? null,
    timesOutAt: timesOutAt(row)?.toISOString() ?? null,
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

/** The run that captures an image has ended, or was cancelled. */
export class CaptureOverError extends Error {
  override name = 'CaptureOverError'
}

/** Nobody cancels the run until the transaction ends. Throws CaptureOverError if somebody did. */
export async function holdCapture(tx: Transaction, id: string): Promise<void> {
  const [run] = await tx
    .select({ state: runs.state, cancelRequested: runs.cancelRequested })
    .from(runs)
    .where(eq(runs.id, id))
    .for('share')
  if (!run || run.cancelRequested || !ACTIVE_RUN_STATES.some((state) => state === run.state))
    throw new CaptureOverError(`Run ${id} was cancelled or is over, so no image comes of it`)
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
        filter.image === undefined
          ? undefined
          : eq(namedLike(runs.image, filter.image), filter.image),
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
  recordEvent(tx, 'run', toRun(run))
  if (stateChanged) await recordMachine(tx, run.mac)
}
