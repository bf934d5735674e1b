import assert from 'node:assert/strict'
import { it } from 'node:test'
import { sql } from 'drizzle-orm'
import { openDatabase } from '#server/db/open-database.ts'
import { describeError } from '#server/log.ts'
import { openFreshDatabase } from '#test/support/database.ts'

it('a query that failed is logged with its reason, and without its values', async () => {
  await using fresh = await openFreshDatabase('embedded')
  await using opened = await openDatabase(fresh.config)
  const err: unknown = await opened.db
    .execute(sql`insert into nowhere values (${'geheim'})`)
    .catch((thrown: unknown) => thrown)
  assert.ok(err instanceof Error)
  assert.match(err.message, /geheim/)
  const text = JSON.stringify(describeError(err))
  assert.match(text, /relation .*nowhere.* does not exist/)
  assert.match(text, /insert into nowhere values/)
  assert.ok(!text.includes('geheim'), text)
})
