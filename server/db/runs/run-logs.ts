import { and, asc, desc, eq, gt, lt, max } from 'drizzle-orm'
import type { LogLine } from '#protocol/run/run.ts'
import type { Database } from '../database.ts'
import { runLogs } from '../schema.ts'

/** How much of an agent's log a run is shown with. */
const SHOWN_LINES = 500
/** Of an attempt, of which a run has three at most: an agent gone wild must not fill the disk. */
const KEPT_LINES = 20_000
/** Lines go so many at once, so that most additions have nothing to remove. */
const REMOVED_LINES = 1000

export interface NewLogLine {
  lineNumber: number
  at: Date
  text: string
}

/**
 * Lines that are there already are left as they are. Of a log that grows beyond its limit the oldest lines
 * go, for its end says why a run failed; a line in their place says so.
 */
export async function appendLog(
  db: Database,
  runId: string,
  attempt: number,
  lines: readonly NewLogLine[],
): Promise<void> {
  const last = lines.at(-1)
  if (!last) return
  const isShort = last.lineNumber < KEPT_LINES + REMOVED_LINES
  const first = isShort ? 0 : await firstKept(db, { runId, attempt }, last.lineNumber)
  const kept = lines.filter(({ lineNumber }) => lineNumber >= first)
  if (kept.length > 0)
    await db
      .insert(runLogs)
      .values(kept.map((line) => ({ runId, attempt, ...line })))
      .onConflictDoNothing()
  if (first > 0) await removeBefore(db, { runId, attempt }, first, last.at)
}

interface Attempt {
  runId: string
  attempt: number
}

/** Of the log that ends with this line, or with a later one that came before. */
async function firstKept(db: Database, of: Attempt, newest: number): Promise<number> {
  const [row] = await db
    .select({ newest: max(runLogs.lineNumber) })
    .from(runLogs)
    .where(isOf(of))
  const count = Math.max(newest, row?.newest ?? 0) + 1
  return Math.floor((count - KEPT_LINES) / REMOVED_LINES) * REMOVED_LINES
}

/** The last line that goes gives its place to one that says so. */
async function removeBefore(db: Database, of: Attempt, first: number, at: Date): Promise<void> {
  const removed = await db
    .delete(runLogs)
    .where(and(isOf(of), lt(runLogs.lineNumber, first - 1)))
    .returning({ lineNumber: runLogs.lineNumber })
  if (removed.length === 0) return
  const text = `The first ${first} lines were dropped: of an attempt about ${KEPT_LINES} lines are kept`
  const notice = { at, text }
  await db
    .insert(runLogs)
    .values({ ...of, lineNumber: first - 1, ...notice })
    .onConflictDoUpdate({
      target: [runLogs.runId, runLogs.attempt, runLogs.lineNumber],
      set: notice,
    })
}

/** The end of the log of an attempt, oldest line first. */
export async function readLogEnd(db: Database, runId: string, attempt: number): Promise<LogLine[]> {
  const rows = await db
    .select()
    .from(runLogs)
    .where(isOf({ runId, attempt }))
    .orderBy(desc(runLogs.lineNumber))
    .limit(SHOWN_LINES)
  return rows.toReversed().map(toLogLine)
}

/** Lines of an attempt after the one with offset `after`, oldest first. */
export async function listLog(
  db: Database,
  of: Attempt,
  { after, limit }: { after: number; limit: number },
): Promise<{ items: LogLine[]; next: string | null }> {
  const rows = await db
    .select()
    .from(runLogs)
    .where(and(isOf(of), gt(runLogs.lineNumber, after)))
    .orderBy(asc(runLogs.lineNumber))
    .limit(limit + 1)
  const page = rows.slice(0, limit)
  return {
    items: page.map(toLogLine),
    next: rows.length > limit ? String(page.at(-1)!.lineNumber) : null,
  }
}

function isOf({ runId, attempt }: Attempt) {
  return and(eq(runLogs.runId, runId), eq(runLogs.attempt, attempt))
}

function toLogLine({ lineNumber, at, text }: typeof runLogs.$inferSelect): LogLine {
  return { offset: lineNumber, at: at.toISOString(), text }
}
