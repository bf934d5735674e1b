import { eq, sql } from 'drizzle-orm'
import type { Database } from '#server/db/database.ts'
import { machines, runs } from '#server/db/schema.ts'
import { closeTestPostgres, DATABASE_KINDS, type DatabaseKind } from '#test/support/database.ts'
import { seed } from '#test/support/seed.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { secondsOfChildren } from './processor-time.ts'

/** How long the server takes for what an operator's pages ask of it, on both databases. */

export const MACHINES = 2000
const RUNS = 20_000
const REQUESTS = 100
const WARM_UP_REQUESTS = 10
const BATCH_ROWS = 500

const PAGES: [what: string, path: string][] = [
  ['machines, a page of 100', '/api/machines?inventory=false&limit=100'],
  ['  sorted by last seen', '/api/machines?inventory=false&limit=100&sort=-lastSeenAt'],
  ['  sorted by state', '/api/machines?inventory=false&limit=100&sort=state'],
  ['  search for a name', '/api/machines?inventory=false&limit=100&q=rack12'],
  ['  search for half a MAC', '/api/machines?inventory=false&limit=100&q=0000-07'],
  ['  by state and image', '/api/machines?inventory=false&state=failed&image=debian-13-server'],
  ['machines, all of them', '/api/machines?inventory=false&limit=5000'],
  ['machines with inventories, 100', '/api/machines?limit=100'],
  ['runs, a page of 100', '/api/runs?limit=100'],
  ['runs that are active, 100', '/api/runs?active=true&limit=100'],
  ['runs that failed, 100', '/api/runs?state=failed,timed-out&limit=100'],
]

export async function benchApi(): Promise<void> {
  for (const kind of DATABASE_KINDS) await benchOn(kind)
}

async function benchOn(database: DatabaseKind): Promise<void> {
  await using app = await openTestApp({ database, realTime: true })
  const name = database === 'embedded' ? 'PGlite' : 'Postgres'
  console.error(`Filling ${name}`)
  await fill(app.database.db)
  console.log(
    `${name} with ${MACHINES} machines and ${RUNS} runs, ${REQUESTS} requests of each kind`,
  )
  const width = Math.max(...PAGES.map(([what]) => what.length))
  for (const [what, path] of PAGES) {
    const { p50, p95, processor, bytes } = await measurePage(app, path)
    const size = `${Math.round(bytes / 1024)} KiB`.padStart(9)
    console.log(
      `  ${what.padEnd(width)}  p50 ${format(p50)}  p95 ${format(p95)}  processor ${format(processor)} ${size}`,
    )
  }
}

const format = (milliseconds: number) => `${milliseconds.toFixed(1).padStart(6)} ms`

/** From the request's coming to the last byte of its answer, without a network. */
async function measurePage(app: TestApp, url: string) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
  const times: number[] = []
  let bytes = 0
  let before = 0
  for (let request = 0; request < WARM_UP_REQUESTS + REQUESTS; request += 1) {
    if (request === WARM_UP_REQUESTS) before = processorSeconds()
    const start = performance.now()
    const answer = await app.http.inject({ url, headers })
    if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode} ${answer.body}`)
    if (request >= WARM_UP_REQUESTS) times.push(performance.now() - start)
    bytes = answer.rawPayload.length
  }
  const processor = ((processorSeconds() - before) * 1000) / REQUESTS
  const sorted = times.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.floor(sorted.length * part)]!
  return { p50: at(0.5), p95: at(0.95), processor, bytes }
}

/** Of this process and of Postgres: on a busy machine it says more than the time that went by. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6 + secondsOfChildren()
}

export async function fill(db: Database): Promise<void> {
  await seed(db, { machines: MACHINES, now: new Date() })
  const fleet = await db.select({ mac: machines.mac }).from(machines)
  const past = await db.select().from(runs).where(eq(runs.state, 'succeeded')).limit(100)
  const missing = RUNS - (await db.$count(runs))
  const rows = Array.from({ length: missing }, (_, index) => ({
    ...past[index % past.length]!,
    // Before all that are there already: ids rise with time.
    id: `00000000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`,
    mac: fleet[index % fleet.length]!.mac,
  }))
  for (let at = 0; at < rows.length; at += BATCH_ROWS)
    await db.insert(runs).values(rows.slice(at, at + BATCH_ROWS))
  await db.execute(sql`analyze`)
}

if (import.meta.main) {
  await benchApi()
  await closeTestPostgres()
}
