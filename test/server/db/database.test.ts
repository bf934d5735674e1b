import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sql } from 'drizzle-orm'
import { openDatabase } from '#server/db/open-database.ts'
import { machines } from '#server/db/schema.ts'
import { parseMac } from '#protocol/mac.ts'
import { describeOnEveryDatabase, openFreshDatabase } from '#test/support/database.ts'

const MAC = parseMac('52:54:00:00:00:01')

describeOnEveryDatabase('database', (openTestDatabase, kind) => {
  it('keeps what was written when it is opened again', async () => {
    await using fresh = await openFreshDatabase(kind)
    {
      await using database = await openDatabase(fresh.config)
      await database.db.insert(machines).values({ mac: MAC, name: 'rack3' })
      await database.flush()
    }
    await using again = await openDatabase(fresh.config)
    const found = await again.db.query.machines.findFirst()
    assert.equal(found?.name, 'rack3')
  })

  it('takes less memory than Postgres would of itself, where it shares that of the server', async () => {
    if (kind === 'postgres') return
    await using fresh = await openFreshDatabase(kind)
    await using database = await openDatabase(fresh.config)
    const { rows } = (await database.db.execute(sql`show shared_buffers`)) as { rows: unknown }
    assert.deepEqual(rows, [{ shared_buffers: '32MB' }])
  })

  it('migrates once when several servers start at the same time', async () => {
    if (kind === 'embedded') return // the data folder's lock lets one server in
    await using database = await openTestDatabase()
    await database.db.execute(sql`drop schema public cascade`)
    await database.db.execute(sql`drop schema drizzle cascade`)
    await database.db.execute(sql`create schema public`)
    const all = await Promise.all([1, 2, 3, 4].map(() => openDatabase(database.config)))
    for (const one of all) await one[Symbol.asyncDispose]()
    assert.deepEqual(await database.db.select().from(machines), [])
  })

  it('tells listeners of a notification when it is committed', async () => {
    await using database = await openTestDatabase()
    const heard = Promise.withResolvers<string>()
    await using _listening = await database.listen('things', heard.resolve)
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`select pg_notify('things', 'done')`)
    })
    assert.equal(await heard.promise, 'done')
  })
})
