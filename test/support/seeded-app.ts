/**
 * A real server with a lab's worth of data, to look at: `node test/support/seeded-app.ts
 * [--machines 40] [--port 8090] [--empty] [--still]`. Runs make progress unless `--still`.
 */
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { parseArgs } from 'node:util'
import { eq } from 'drizzle-orm'
import { RUNNING_TIMEOUT_SECONDS } from '#protocol/run/run-silence.ts'
import type { Database } from '#server/db/database.ts'
import { notifyProgress } from '#server/db/events.ts'
import { runs } from '#server/db/schema.ts'
import { seed } from './seed.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp, type TestAppOptions } from './test-app.ts'

/** The administrator of a seeded app. */
export const OPERATOR = { name: 'maria', password: 'a sentence that nobody guesses' }

/** The seeded runs are to be at work however long somebody looks at them. */
const TOUCH_MILLISECONDS = 60_000

/** pino's number of the level. */
const WARN = 40

export interface SeededAppOptions extends TestAppOptions {
  machines?: number
  /** Without an account, as after the first start. */
  withoutAccount?: boolean
}

export interface SeededApp extends TestApp {
  /** By an address of the network, not loopback: what browsers call no secure context. */
  lanUrl: string
}

/** An app with seeded data that listens on every address; its clock is the real one. */
export async function openSeededApp(options: SeededAppOptions = {}): Promise<SeededApp> {
  const app = await openTestApp({
    ...options,
    realTime: true,
    env: { STAMPEDE_HTTP: '0.0.0.0:0', ...options.env },
  })
  const count = options.machines ?? 40
  if (count > 0) await seed(app.database.db, { machines: count, now: new Date() })
  if (!options.withoutAccount)
    await app.call('POST', '/api/setup', { adminToken: ADMIN_TOKEN, ...OPERATOR }, { token: null })
  const touch = () => void touchRuns(app.database.db, new Date()).catch(console.error)
  const timer = setInterval(touch, TOUCH_MILLISECONDS)
  return {
    ...app,
    lanUrl: `http://${lanAddress()}:${app.port}`,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await app[Symbol.asyncDispose]()
    },
  }
}

export function lanAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)
  return found?.address ?? '127.0.0.1'
}

/** What keeps runs from timing out, as reports of their agents would. */
async function touchRuns(db: Database, now: Date): Promise<void> {
  await db.update(runs).set({ lastReportAt: now }).where(eq(runs.state, 'running'))
  await db.update(runs).set({ bootedAt: now }).where(eq(runs.state, 'booting'))
}

/** Moves every running run on, as its agent would; back to the start at its end. */
export async function advanceRuns(db: Database, done: Map<string, number>): Promise<void> {
  const running = await db
    .select({ id: runs.id, mac: runs.mac, steps: runs.steps })
    .from(runs)
    .where(eq(runs.state, 'running'))
  for (const { id, mac, steps } of running) {
    const step = steps.find(({ state }) => state === 'running')
    if (!step) continue
    const bytesPerSecond = step.bytesPerSecond * (0.85 + Math.random() * 0.3)
    const before = done.get(id) ?? step.bytesDone
    const bytesDone = Math.floor((before + bytesPerSecond) % step.bytesTotal)
    done.set(id, bytesDone)
    const now = Date.now()
    const { name, state, bytesTotal } = step
    await notifyProgress(db, {
      run: id,
      mac,
      step: name,
      state,
      bytesDone,
      bytesTotal,
      bytesPerSecond,
      lastReportAt: new Date(now).toISOString(),
      timesOutAt: new Date(now + RUNNING_TIMEOUT_SECONDS * 1000).toISOString(),
    })
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      machines: { type: 'string', default: '40' },
      port: { type: 'string', default: '0' },
      empty: { type: 'boolean', default: false },
      still: { type: 'boolean', default: false },
    },
  })
  await using app = await openSeededApp({
    machines: values.empty ? 0 : Number(values.machines),
    withoutAccount: values.empty,
    env: { STAMPEDE_HTTP: `0.0.0.0:${values.port}` },
    onLog: (line) => {
      if ((JSON.parse(line) as { level: number }).level >= WARN) process.stderr.write(line)
    },
  })
  console.log(`${app.lanUrl}  (also ${app.url})`)
  console.log(`sign in as ${OPERATOR.name} with "${OPERATOR.password}"; admin token ${ADMIN_TOKEN}`)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const done = new Map<string, number>()
  const { db } = app.database
  const advance = () => void advanceRuns(db, done).catch(console.error)
  const timer = values.still ? undefined : setInterval(advance, 1000)
  await once(stop.signal, 'abort')
  clearInterval(timer)
}

if (import.meta.main) await main()
