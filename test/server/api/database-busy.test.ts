import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eq } from 'drizzle-orm'
import { parseMac } from '#protocol/mac.ts'
import { machines } from '#server/db/schema.ts'
import { openTestApp } from '#test/support/test-app.ts'

const MAC = '52:54:00:00:09:10'
/** The server has ten connections. */
const CALLS = 12

interface Refused {
  error: { code: string; message: string }
}

describe('a server whose connections to Postgres are all in use', () => {
  it('asks whoever waited for one in vain to come again, and answers all others', async () => {
    await using app = await openTestApp({ database: 'postgres' })
    const patch = (number: number) =>
      app.call<Refused>('PATCH', `/api/machines/${MAC}`, { name: `name ${number}` })
    await app.call('PUT', `/api/machines/${MAC}`, {})
    const calls: ReturnType<typeof patch>[] = []
    const first = await app.database.db.transaction(async (tx) => {
      // All others wait for this row.
      await tx
        .update(machines)
        .set({ locked: true })
        .where(eq(machines.mac, parseMac(MAC)))
      for (let number = 0; number < CALLS; number++) calls.push(patch(number))
      return { answer: await Promise.race(calls) }
    })
    assert.equal(first.answer.status, 503, JSON.stringify(first.answer.body))
    assert.equal(first.answer.body.error.code, 'database-busy')
    assert.match(first.answer.body.error.message, /try again/)
    assert.ok(Number(first.answer.headers.get('retry-after')) > 0)
    const statuses = (await Promise.all(calls)).map(({ status }) => status)
    assert.deepEqual(new Set(statuses), new Set([200, 503]))
  })
})
