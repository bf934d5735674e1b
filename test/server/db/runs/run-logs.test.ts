import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseMac } from '#protocol/mac.ts'
import type { Database } from '#server/db/database.ts'
import { saveMachine } from '#server/db/machines/machines.ts'
import { appendLog, listLog, readLogEnd } from '#server/db/runs/run-logs.ts'
import { runLogs, runs } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'

const MAC = parseMac('52:54:00:00:0b:01')
const AT = new Date('2026-05-01T12:00:00Z')
const RUN = '01890000-0000-7000-8000-000000000001'
const of = { runId: RUN, attempt: 1 }

async function enterRun(db: Database): Promise<void> {
  await saveMachine(db, MAC, {})
  const common = { id: RUN, mac: MAC, workflow: 'wipe', state: 'running' } as const
  await db.insert(runs).values({ ...common, options: {} as never, steps: [], createdAt: AT })
}

function append(db: Database, first: number, count: number, attempt = 1): Promise<void> {
  const lines = Array.from({ length: count }, (_, index) => ({
    lineNumber: first + index,
    at: AT,
    text: `line ${first + index}`,
  }))
  return appendLog(db, RUN, attempt, lines)
}

describeOnEveryDatabase('the log of a run', (openTestDatabase) => {
  it('loses its oldest lines when it grows beyond its limit, and says so', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    await enterRun(db)
    await append(db, 0, 5, 2) // of another attempt
    for (let first = 0; first < 25_300; first += 1000)
      await append(db, first, Math.min(1000, 25_300 - first))
    const { items, next } = await listLog(db, of, { after: -1, limit: 2 })
    assert.deepEqual(items, [
      {
        offset: 4999,
        at: AT.toISOString(),
        text: 'The first 5000 lines were dropped: of an attempt about 20000 lines are kept',
      },
      { offset: 5000, at: AT.toISOString(), text: 'line 5000' },
    ])
    assert.equal(next, '5000')
    assert.equal((await readLogEnd(db, RUN, 1)).at(-1)?.text, 'line 25299')
    assert.equal(await db.$count(runLogs), 25_300 - 4999 + 5)
  })

  it('stays within its limit whatever numbers an agent makes up', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    await enterRun(db)
    for (let first = 900_000; first > 30_000; first -= 30_000) await append(db, first, 1000)
    assert.equal(await db.$count(runLogs), 1000)
    await append(db, 2_000_000_000, 10)
    assert.deepEqual(
      (await listLog(db, of, { after: -1, limit: 100 })).items.map(({ offset }) => offset),
      [1_999_979_999, ...Array.from({ length: 10 }, (_, index) => 2_000_000_000 + index)],
    )
  })

  it('is no longer for lines that come again', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    await enterRun(db)
    for (const first of [0, 0, 3]) await append(db, first, 5)
    const { items } = await listLog(db, of, { after: -1, limit: 100 })
    assert.deepEqual(
      items.map(({ text }) => text),
      Array.from({ length: 8 }, (_, index) => `line ${index}`),
    )
  })
})
