import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { closeTestPostgres, DATABASE_KINDS, type DatabaseKind } from '#test/support/database.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { secondsOfChildren } from './processor-time.ts'
import type { ReportersAnswer, ReportersOrder } from './reporters.ts'

/** What it costs the server that many machines report at once while a page watches. */

const MACHINES = 200
const SECONDS = 20
const WARM_UP_SECONDS = 120

export async function benchReports(): Promise<void> {
  for (const kind of DATABASE_KINDS) await benchOn(kind)
}

async function benchOn(database: DatabaseKind): Promise<void> {
  const env = { STAMPEDE_TRUST_RELAYED: '1' }
  await using app = await openTestApp({ database, realTime: true, env })
  console.error(`Booting ${MACHINES} machines`)
  const agents = await bootAgents(app)
  // Agents and page are another process, so that what they take is not counted.
  const reporters = fork(new URL('reporters.ts', import.meta.url), { stdio: 'inherit' })
  const order: ReportersOrder = { port: app.port, agents }
  reporters.send(order)
  await once(reporters, 'message', { signal: AbortSignal.timeout(WARM_UP_SECONDS * 1000) })
  const before = { server: process.cpuUsage(), others: secondsOfChildren(reporters.pid!) }
  await sleep(SECONDS * 1000)
  const { user, system } = process.cpuUsage(before.server)
  const others = secondsOfChildren(reporters.pid!) - before.others
  reporters.send('stop')
  const [{ reports, p95, progress }] = (await once(reporters, 'message')) as [ReportersAnswer]
  const percent = (seconds: number) => `${((seconds / SECONDS) * 100).toFixed(0)} %`
  const server = (user + system) / 1e6
  const parts =
    database === 'embedded'
      ? `PGlite: ${percent(server)} of a core`
      : `Postgres: ${percent(server + others)} of a core (${percent(others)} of it Postgres)`
  console.log(
    `${parts} (${(((server + others) * 1000) / SECONDS / reports).toFixed(2)} ms a report) for ${MACHINES} machines that send ${reports.toFixed(0)} reports a second; ` +
      `p95 ${p95.toFixed(0)} ms; a page hears ${progress.toFixed(0)} a second`,
  )
}

async function bootAgents(app: TestApp): Promise<ReportersOrder['agents']> {
  const agents = []
  for (let number = 0; number < MACHINES; number += 1) {
    const mac = `5254000f${number.toString(16).padStart(4, '0')}`
    const { id } = await queueRun(app, mac)
    const { token } = await startAgent(app, mac)
    agents.push({ id, token })
  }
  return agents
}

if (import.meta.main) {
  await benchReports()
  await closeTestPostgres()
}
