import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { pruneApiTokens } from './db/api-tokens.ts'
import { pruneEvents } from './db/events.ts'
import { pruneIdempotencyKeys } from './db/idempotency.ts'
import { pruneMachines } from './db/machines.ts'
import { prunePlans } from './db/plans.ts'
import { pruneTokens } from './db/tokens.ts'
import { pruneWebSessions } from './db/web-sessions.ts'
import { pruneDeliveries } from './db/webhook-deliveries.ts'
import type { OpenedDatabase } from './db/database.ts'
import { tickRuns } from './runs/moves.ts'
import type { RunReports } from './runs/reports.ts'

const TICK_MILLISECONDS = 5000
const PRUNE_MILLISECONDS = 3_600_000

export interface Ticker extends AsyncDisposable {
  /** What otherwise happens by itself every few seconds. */
  tick(): Promise<void>
}

export interface TickerOptions {
  database: OpenedDatabase
  reports: RunReports
  log: FastifyBaseLogger
  now: () => Date
}

/** Ends runs whose time is up, and now and then removes what nobody needs any more. */
export function openTicker({ database, reports, log, now }: TickerOptions): Ticker {
  const { db } = database
  const stop = new AbortController()
  let prunedAt = 0

  async function tick(): Promise<void> {
    await reports.save() // a run that reports is not silent
    for (const run of await tickRuns(db, now()))
      log.warn({ mac: run.mac, run: run.id, state: run.state, error: run.error }, 'Run ended')
    if (now().getTime() - prunedAt < PRUNE_MILLISECONDS) return
    prunedAt = now().getTime()
    await pruneTokens(db, now())
    await pruneWebSessions(db, now())
    await pruneApiTokens(db, now())
    await pruneEvents(db)
    await pruneIdempotencyKeys(db, now())
    await pruneDeliveries(db, now())
    await pruneMachines(db, now())
    await prunePlans(db, now())
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
