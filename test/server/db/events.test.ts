import assert from 'node:assert/strict'
import { it } from 'node:test'
import { listEventsAfter, recordEvents } from '#server/db/events.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'

const KIB = 1024

describeOnEveryDatabase('events after one', (openTestDatabase) => {
  it('are read in pieces of limited size, and all in the end', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const sizes = [10, 600 * KIB, 10, 600 * KIB, 10, 3000 * KIB, 10, 10, 10]
    const datas = sizes.map((size) => ({ text: 'x'.repeat(size) }))
    await db.transaction(async (tx) => recordEvents(tx, 'notice', datas))

    const pieces: { sizes: number[]; isMore: boolean }[] = []
    for (let id = 0, isAll = false; !isAll;) {
      const { items, isMore } = await listEventsAfter(db, id, 4)
      const read = items.map(({ data }) => (data as { text: string }).text.length)
      assert.ok(items.every((item, place) => place === 0 || item.id > items[place - 1]!.id))
      pieces.push({ sizes: read, isMore })
      id = items.at(-1)?.id ?? id
      isAll = !isMore
    }
    assert.deepEqual(pieces, [
      { sizes: sizes.slice(0, 4), isMore: true },
      { sizes: sizes.slice(4, 6), isMore: true },
      { sizes: sizes.slice(6), isMore: false },
    ])
    assert.deepEqual(await listEventsAfter(db, 1_000_000, 4), { items: [], isMore: false })
  })
})
