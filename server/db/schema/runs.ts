import { sql } from 'drizzle-orm'
import {
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { Mac } from '#protocol/mac.ts'
import type { ExpectedTarget, Plan } from '#protocol/run/plan.ts'
import type { Receipt, Run, RunOptions, RunState, Step, Workflow } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { moment } from './columns.ts'
import { machines } from './machines.ts'

/** Plans and runs, and what lets an agent or a link in. */

/** What a run may do to which disk, as somebody read it before they said yes. */
export const plans = pgTable('plans', {
  id: uuid().primaryKey(),
  createdBy: text().notNull(),
  createdAt: moment().notNull(),
  expiresAt: moment().notNull(),
  plan: jsonb().$type<Plan>().notNull(),
})

export const runs = pgTable(
  'runs',
  {
    id: uuid().primaryKey(),
    mac: text()
      .$type<Mac>()
      .notNull()
      .references(() => machines.mac, { onDelete: 'cascade' }),
    workflow: text().$type<Workflow>().notNull(),
    state: text().$type<RunState>().notNull(),
    attempts: integer().notNull().default(0),
    image: text(),
    imageDigest: text().$type<Sha256>(),
    planId: uuid(),
    /** What the agent must find, from the plan; it stops before the first write if it does not. */
    expected: jsonb().$type<ExpectedTarget>(),
    options: jsonb().$type<RunOptions>().notNull(),
    steps: jsonb().$type<Step[]>().notNull(),
    claimedBy: text().$type<NonNullable<Run['claimedBy']>>(),
    cancelRequested: boolean().notNull().default(false),
    error: text(),
    receipt: jsonb().$type<Receipt>(),
    /** When the agent of the current attempt said hello. */
    attemptAt: moment(),
    /** Of the current attempt; a report at or below it was seen before. */
    lastSequence: integer().notNull().default(-1),
    createdAt: moment().notNull(),
    bootedAt: moment(),
    startedAt: moment(),
    lastReportAt: moment(),
    finishedAt: moment(),
  },
  (table) => [
    uniqueIndex('runs_one_active_per_machine')
      .on(table.mac)
      .where(sql`state in ('queued', 'booting', 'running')`),
    index('runs_by_machine').on(table.mac, table.createdAt),
    index('runs_by_state').on(table.state, table.createdAt),
    index('runs_by_image').on(table.image),
    index('runs_by_end').on(table.finishedAt),
  ],
)

export const runLogs = pgTable(
  'run_logs',
  {
    runId: uuid()
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    attempt: integer().notNull(),
    lineNumber: integer().notNull(),
    at: moment().notNull(),
    text: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.runId, table.attempt, table.lineNumber] })],
)

/** One-time, good for one machine and fifteen minutes; only the hash is kept. */
export const bootTokens = pgTable('boot_tokens', {
  hash: text().$type<Sha256>().primaryKey(),
  /** The card that the machine boots from. */
  mac: text().$type<Mac>().notNull(),
  expiresAt: moment().notNull(),
})

/** What an agent shows with every call of its run; survives a restart of the server. */
export const agentSessions = pgTable('agent_sessions', {
  hash: text().$type<Sha256>().primaryKey(),
  mac: text().$type<Mac>().notNull(),
  runId: uuid().references(() => runs.id, { onDelete: 'cascade' }),
  attempt: integer().notNull(),
  /** What it was swapped for; the agent may ask again if our answer was lost. */
  bootTokenHash: text().$type<Sha256>(),
  createdAt: moment().notNull(),
})

/** Expiring addresses that need no header; the token is kept as its hash. */
export const links = pgTable('links', {
  hash: text().$type<Sha256>().primaryKey(),
  /** What lists and revoking call it, which opens nothing. */
  id: uuid().notNull().unique().defaultRandom(),
  kind: text().$type<'download' | 'upload'>().notNull(),
  imageName: text().notNull(),
  /** Of a download: the content that was linked, whatever the name means later. */
  digest: text().$type<Sha256>(),
  runId: uuid().references(() => runs.id, { onDelete: 'cascade' }),
  createdAt: moment().notNull().defaultNow(),
  /** null: a run's, or made before this was kept. */
  createdBy: text(),
  /** Of a person's download, to the minute. */
  lastUsedAt: moment(),
  expiresAt: moment().notNull(),
})
