import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { eq } from 'drizzle-orm'
import pg from 'pg'
import { parseMac } from '#protocol/mac.ts'
import { machines } from '#server/db/schema.ts'
import { openFreshDatabase } from '#test/support/database.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type Answer } from '#test/support/test-app.ts'

const MAC = '52:54:00:00:09:11'
const PATH = `/api/machines/${MAC}`

interface Refused {
  error: { code: string; message: string }
}

function assertAway({ status, headers, body }: Answer<Refused>): void {
  assert.deepEqual([status, body.error.code], [503, 'database-away'], JSON.stringify(body))
  assert.match(body.error.message, /try again/)
  assert.ok(Number(headers.get('retry-after')) > 0)
}

describe('a server whose Postgres goes away', () => {
  it('asks callers to come again, those in the middle of a query too, and goes on when it is back', async () => {
    await using database = await openFreshDatabase('postgres')
    assert.ok(database.config.kind === 'postgres')
    const { url } = database.config
    await using app = await openTestApp({ env: { DATABASE_URL: url, STAMPEDE_TRUST_RELAYED: '1' } })
    const cluster = new URL(url)
    const name = cluster.pathname.slice(1)
    cluster.pathname = '/postgres'
    const admin = new pg.Client({ connectionString: cluster.href })
    await admin.connect()
    const end = () =>
      admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and pid <> pg_backend_pid()`,
      )
    const patch = () => app.call<Refused>('PATCH', PATH, { name: 'changed' })
    try {
      await queueRun(app, MAC)
      const agent = await startAgent(app, MAC)

      let waiting: ReturnType<typeof patch> | undefined
      const holding = app.database.db.transaction(async (tx) => {
        await tx
          .update(machines)
          .set({ locked: true })
          .where(eq(machines.mac, parseMac(MAC)))
        waiting = patch()
        await untilWaiting(admin, name)
        await admin.query(`alter database ${name} allow_connections false`)
        await end()
        await waiting
      })
      await assert.rejects(holding)
      assertAway(await waiting!)

      assertAway(await app.call<Refused>('GET', PATH))
      assertAway(await patch())
      assertAway((await agent.report()) as Answer<unknown> as Answer<Refused>)

      await admin.query(`alter database ${name} allow_connections true`)
      assert.equal((await patch()).status, 200)
      assert.equal((await agent.report()).status, 200)
    } finally {
      await admin.end()
    }
  })
})

/** Until a query of this database waits for a lock. */
async function untilWaiting(admin: pg.Client, name: string): Promise<void> {
  for (;;) {
    const { rowCount } = await admin.query(
      `select from pg_stat_activity where datname = '${name}' and wait_event_type = 'Lock'`,
    )
    if (rowCount) return
  }
}
