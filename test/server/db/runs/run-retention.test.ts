import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eq } from 'drizzle-orm'
import { parseMac, type Mac } from '#protocol/mac.ts'
import type { Receipt, RunOptions } from '#protocol/run/run.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { findMachine, recordMachine, saveMachine } from '#server/db/machines/machines.ts'
import { pruneRuns } from '#server/db/runs/run-retention.ts'
import type { NewRun } from '#server/db/runs/runs.ts'
import { runLogs, runs } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { ADMIN_TOKEN, openTestApp } from '#test/support/test-app.ts'

const DIGEST = parseSha256('d'.repeat(64))
const MAC = parseMac('52:54:00:00:0a:01')
const LIMIT = new Date('2025-05-01T12:00:00Z')
const DAY = 24 * 3_600_000
const RECEIPT = { imageDigest: DIGEST, imageVerified: true } as Partial<Receipt> as Receipt
const OPTIONS: RunOptions = {
  grow: true,
  after: 'reboot',
  zeroUnused: false,
  identity: 'reset',
  force: false,
}

const idOf = (number: number) => `01890000-0000-7000-8000-${String(number).padStart(12, '0')}`

/** Ended so many days before the limit; the fewer days, the higher its id. */
function runOf(mac: Mac, daysBefore: number, changes: Partial<NewRun> = {}): NewRun {
  const at = new Date(LIMIT.getTime() - daysBefore * DAY)
  return {
    id: idOf(Number.parseInt(mac.slice(-2), 16) * 100_000 + 50_000 - daysBefore),
    mac,
    workflow: 'inventory',
    state: 'succeeded',
    options: OPTIONS,
    steps: [],
    createdAt: at,
    finishedAt: at,
    ...changes,
  }
}

async function insert(db: Database, rows: NewRun[]): Promise<void> {
  for (const mac of new Set(rows.map((row) => row.mac))) await saveMachine(db, mac, {})
  for (let at = 0; at < rows.length; at += 500)
    await db.insert(runs).values(rows.slice(at, at + 500))
  for (const mac of new Set(rows.map((row) => row.mac)))
    await db.transaction((tx) => recordMachine(tx, mac))
}

async function pruneAll(db: Database): Promise<number> {
  let sum = 0
  for (let some = -1; some !== 0; sum += some) some = await pruneRuns(db, LIMIT)
  return sum
}

async function daysLeft(db: Database, mac: Mac): Promise<number[]> {
  const left = await db.select().from(runs).where(eq(runs.mac, mac))
  return left
    .map(({ createdAt }) => (LIMIT.getTime() - createdAt.getTime()) / DAY)
    .toSorted((a, b) => a - b)
}

describeOnEveryDatabase('old runs', (openTestDatabase, kind) => {
  it('are forgotten with their logs; what ended later, and what has not ended, stays', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    await insert(db, [
      runOf(MAC, 3),
      runOf(MAC, 2),
      runOf(MAC, -1),
      runOf(MAC, -2, { state: 'running', finishedAt: null }),
    ])
    const line = { attempt: 1, at: LIMIT, text: 'x' }
    const idsOf = await db.select({ id: runs.id }).from(runs)
    for (const { id: runId } of idsOf)
      await db.insert(runLogs).values([
        { ...line, runId, lineNumber: 0 },
        { ...line, runId, lineNumber: 1 },
      ])
    assert.equal(await pruneAll(db), 2)
    assert.deepEqual(await daysLeft(db, MAC), [-2, -1])
    assert.equal(await db.$count(runLogs), 4)
  })

  it('of each machine those stay that say what it is', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const deploy = {
      workflow: 'deploy',
      attempts: 1,
      image: 'debian-12',
      imageDigest: DIGEST,
    } as const
    const other = parseMac('52:54:00:00:0a:02')
    await insert(db, [
      runOf(MAC, 9, { ...deploy, receipt: RECEIPT }), // a later one succeeded
      runOf(MAC, 8, { ...deploy, receipt: RECEIPT }), // the latest that succeeded
      runOf(MAC, 7),
      runOf(MAC, 6, { ...deploy, state: 'failed' }), // since then nobody knows what is there
      runOf(MAC, 5, { ...deploy, state: 'cancelled', attempts: 0 }), // it wrote nothing
      runOf(MAC, 4, { state: 'failed' }), // the machine's state
      runOf(MAC, 3, { state: 'cancelled' }),
      runOf(MAC, 2, { state: 'cancelled' }), // the latest
      runOf(other, 9, { ...deploy, receipt: RECEIPT }),
      runOf(other, 8, { ...deploy, state: 'cancelled', attempts: 0 }),
      runOf(other, 7), // the machine's state
      runOf(other, 6, { workflow: 'verify' }),
      runOf(other, 5, { workflow: 'verify', state: 'failed' }), // the latest
    ])
    const before = [await findMachine(db, MAC), await findMachine(db, other)]
    assert.deepEqual(
      before.map((machine) => [machine?.state, machine?.imageDigest]),
      [
        ['failed', undefined],
        ['ready', DIGEST],
      ],
    )
    await pruneAll(db)
    assert.deepEqual(await daysLeft(db, MAC), [2, 4, 6, 8])
    assert.deepEqual(await daysLeft(db, other), [5, 7, 9])
    for (const mac of [MAC, other]) await db.transaction((tx) => recordMachine(tx, mac))
    assert.deepEqual([await findMachine(db, MAC), await findMachine(db, other)], before)
  })

  it('go a few at a time, oldest first, however long their logs', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    await insert(
      db,
      Array.from({ length: 121 }, (_, index) => runOf(MAC, index + 1)),
    )
    const line = { runId: runOf(MAC, 121).id, attempt: 1, at: LIMIT, text: 'x' }
    for (let first = 0; first < 11_000; first += 1000)
      await db
        .insert(runLogs)
        .values(
          Array.from({ length: 1000 }, (_, index) => ({ ...line, lineNumber: first + index })),
        )
    assert.equal(await pruneRuns(db, LIMIT), 50)
    assert.equal(await db.$count(runLogs), 0)
    assert.equal(Math.max(...(await daysLeft(db, MAC))), 71)
    assert.equal(await pruneAll(db), 70)
    assert.deepEqual(await daysLeft(db, MAC), [1])
  })

  for (const [days, left] of [
    ['30', 1],
    ['0', 3],
  ] as const)
    it(`with STAMPEDE_RUN_RETENTION_DAYS=${days} time leaves ${left} of three`, async () => {
      const env = { STAMPEDE_RUN_RETENTION_DAYS: days, STAMPEDE_ADMIN_TOKEN: ADMIN_TOKEN }
      await using app = await openTestApp({ database: kind, env })
      await insert(app.database.db, [runOf(MAC, 3), runOf(MAC, 2), runOf(MAC, 1)])
      app.clock.advance(7200) // beyond the pruning of its start
      await app.tick()
      const { body } = await app.call<{ items: unknown[] }>('GET', `/api/runs?mac=${MAC}`)
      assert.equal(body.items.length, left)
    })
})
