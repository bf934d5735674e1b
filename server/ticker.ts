import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { pruneApiTokens } from './db/accounts/api-tokens.ts'
import { pruneEvents } from './db/events.ts'
import { pruneIdempotencyKeys } from './db/idempotency.ts'
import { pruneMachines } from './db/machines/machines.ts'
import { pruneRuns } from './db/runs/run-retention.ts'
import { prunePlans } from './db/runs/plans.ts'
import { pruneTokens } from './db/machines/tokens.ts'
import { pruneWebSessions } from './db/accounts/web-sessions.ts'
import { pruneDeliveries } from './db/webhooks/webhook-deliveries.ts'
import type { OpenedDatabase } from './db/database.ts'
import { createListening } from './runs/listening.ts'
import { tickRuns } from './runs/moves.ts'
import type { RunReports } from './runs/reports.ts'

const TICK_MILLISECONDS = 5000
const PRUNE_MILLISECONDS = 3_600_000
const DAY_MILLISECONDS = 24 * 3_600_000

export interface Ticker extends AsyncDisposable {
  /** What otherwise happens by itself every few seconds. */
  tick(): Promise<void>
}

export interface TickerOptions {
  database: OpenedDatabase
  reports: RunReports
  /** 0: for ever. */
  runRetentionDays: number
  log: FastifyBaseLogger
  now: () => Date
  /** Milliseconds of a clock that nobody sets. */
  steady: () => number
}

/** Ends runs whose time is up, and now and then removes what nobody needs any more. */
export function openTicker(options: TickerOptions): Ticker {
  const { database, reports, runRetentionDays, log, now, steady } = options
  const { db } = database
  const listen = createListening(now, steady)
  const stop = new AbortController()
  let prunedAt = -Infinity
  let hasOldRuns = false

  async function tick(): Promise<void> {
    await reports.save() // a run that reports is not silent
    for (const run of await tickRuns(db, listen()))
      log.warn({ mac: run.mac, run: run.id, state: run.state, error: run.error }, 'Run ended')
    if (steady() - prunedAt >= PRUNE_MILLISECONDS) await prune()
    if (hasOldRuns) await forgetOldRuns()
  }

  async function prune(): Promise<void> {
    prunedAt = steady()
    hasOldRuns = runRetentionDays > 0
    await pruneTokens(db, now())
    await pruneWebSessions(db, now())
    await pruneApiTokens(db, now())
    await pruneEvents(db)
    await pruneIdempotencyKeys(db, now())
    await pruneDeliveries(db, now())
    await pruneMachines(db, now())
    await prunePlans(db, now())
  }

  /** A few at each tick, so that runs at work wait for none of it. */
  async function forgetOldRuns(): Promise<void> {
    const limit = new Date(now().getTime() - runRetentionDays * DAY_MILLISECONDS)
    const forgotten = await pruneRuns(db, limit)
    hasOldRuns = forgotten > 0
    if (forgotten > 0) log.info({ runs: forgotten, before: limit }, 'Forgot old runs')
  }

  async function tickOn(): Promise<void> {
    while (!stop.signal.aborted) {
      await tick().catch((err: unknown) => log.error({ err }, 'Failed to look after runs'))
      await sleep(TICK_MILLISECONDS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  const ticking = tickOn()
  return {
    tick,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ticking
    },
  }
}
