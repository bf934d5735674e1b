import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { sql, type SQL } from 'drizzle-orm'
import type { Database } from '#server/db/database.ts'
import { DatabaseOpenError, openDatabase } from '#server/db/open-database.ts'
import { DatabaseFailedError } from '#server/db/embedded-failure.ts'
import { isDiskFull } from '#server/db/failures.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openSmallDisk } from '#test/support/small-disk.ts'

const DISK_MIB = 160
/** Less than a file of the log, and more than the tables of the test grow by. */
const LEFT_BYTES = 8 * 1024 ** 2
const MAX_WRITES = 500

describe('an embedded database whose disk is full', { skip: NEEDS_ROOT }, () => {
  it('refuses what needs room, and goes on once there is some', async () => {
    await using disk = await openSmallDisk(DISK_MIB)
    const folder = join(disk.path, 'database')
    await putEmbeddedDatabase(disk.path)
    await using database = await openDatabase({ kind: 'embedded', folder })
    const { db, failed } = database
    await db.execute(sql`create table counts as select 1 as id, repeat('x', 9) as text`)
    disk.fill()
    const write = db.execute(sql`insert into counts select g, repeat('x', 99)
      from generate_series(1, 5000) g`)
    await assert.rejects(async () => write, isDiskFull)
    assert.equal(failed.aborted, false)
    disk.makeRoom()
    await db.execute(sql`insert into counts select g, '' from generate_series(1, 5000) g`)
    assert.deepEqual(await rows(db, sql`select count(*)::int as count from counts`), [
      { count: 5001 },
    ])
  })

  it('stops where its log cannot grow, and has all that was committed when it opens again', async () => {
    await using disk = await openSmallDisk(DISK_MIB)
    const folder = join(disk.path, 'database')
    await putEmbeddedDatabase(disk.path)
    let written = 0
    {
      await using database = await openDatabase({ kind: 'embedded', folder })
      const { db, failed } = database
      await db.execute(sql`create table counts as select g as id, 0 as count
        from generate_series(1, 2000) g`)
      disk.fill(LEFT_BYTES)
      const writeOn = async () => {
        while (written < MAX_WRITES) {
          await db.execute(sql`update counts set count = ${written + 1}`)
          written++
          await db.execute(sql`vacuum counts`)
        }
      }
      await assert.rejects(writeOn)
      assert.ok(failed.aborted && failed.reason instanceof DatabaseFailedError)
      assert.match(failed.reason.message, /No space left on device.*start the server again/)
      await assert.rejects(async () => db.execute(sql`select 1`))
    }
    await assert.rejects(openDatabase({ kind: 'embedded', folder }), (err: Error) => {
      assert.ok(err instanceof DatabaseOpenError)
      assert.match(err.message, /^\d+ bytes are free on the disk .*; make room/)
      return true
    })
    disk.makeRoom()
    await using database = await openDatabase({ kind: 'embedded', folder })
    const found = sql`select min(count)::int as min, max(count)::int as max from counts`
    assert.deepEqual(await rows(database.db, found), [{ min: written, max: written }])
  })
})

async function rows(db: Database, query: SQL): Promise<unknown[]> {
  return ((await db.execute(query)) as { rows: unknown[] }).rows
}
