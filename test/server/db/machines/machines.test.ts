import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseMac } from '#protocol/mac.ts'
import type { Database } from '#server/db/database.ts'
import { recordBootStep } from '#server/db/machines/machine-boot.ts'
import { listMachines } from '#server/db/machines/machine-list.ts'
import {
  findMachine,
  pruneMachines,
  saveMachine,
  seeMachine,
} from '#server/db/machines/machines.ts'
import { machineMacs, machines } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { untilOneWaits } from '#test/support/until-one-waits.ts'

const NOW = new Date('2026-05-01T12:00:00Z')
const mac = (number: number) => parseMac(`5254${number.toString(16).padStart(8, '0')}`)
const later = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)

describeOnEveryDatabase('machines', (openTestDatabase, kind) => {
  it('appear once, however many of their packets come at once', async () => {
    await using database = await openTestDatabase()
    const see = () => seeMachine(database.db, mac(1), NOW, { creates: true })
    await Promise.all(Array.from({ length: 10 }, see))
    const { items } = await listMachines(database.db, { limit: 10 })
    assert.deepEqual(
      items.map(({ state, lastSeenAt }) => [state, lastSeenAt]),
      [['discovered', NOW.toISOString()]],
    )
  })

  const heardOf = {
    'are seen': (db: Database, creates: boolean) => seeMachine(db, mac(1), NOW, { creates }),
    'come a step further': (db: Database, creates: boolean) =>
      recordBootStep(db, mac(1), { stage: 'dhcp', at: NOW }, { creates }),
  }
  for (const [how, hear] of Object.entries(heardOf))
    it(`that are deleted in the moment in which they ${how} are as new ones`, async () => {
      await using database = await openTestDatabase()
      for (const creates of [false, true]) {
        await saveMachine(database.db, mac(1), { name: 'mine' })
        const heard = await database.db.transaction(async (tx) => {
          await tx.delete(machines)
          const done = Promise.allSettled([hear(database.db, creates)])
          if (kind === 'postgres') await untilOneWaits(tx)
          return { done }
        })
        assert.deepEqual(await heard.done, [{ status: 'fulfilled', value: undefined }])
        assert.equal(
          (await findMachine(database.db, mac(1)))?.state,
          creates ? 'discovered' : undefined,
        )
      }
    })

  it('that were only seen are kept up to a number, and forgotten after a week', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const rows = Array.from({ length: 4096 }, (_, i) => mac(i))
    await db.insert(machines).values(rows.map((key) => ({ mac: key, name: 'x', lastSeenAt: NOW })))
    await db.insert(machineMacs).values(rows.map((key) => ({ mac: key, machine: key })))
    await seeMachine(db, mac(5000), NOW, { creates: true })
    assert.equal(await findMachine(db, mac(5000)), undefined)
    await saveMachine(db, mac(7), { name: 'mine' })
    await seeMachine(db, mac(5000), NOW, { creates: true })
    assert.equal((await findMachine(db, mac(5000)))?.state, 'discovered')

    await seeMachine(db, mac(8), later(3600), { creates: true })
    await pruneMachines(db, later(7 * 24 * 3600 + 1))
    const { items } = await listMachines(db, { limit: 10 })
    assert.deepEqual(
      items.map((machine) => machine.mac),
      [mac(7), mac(8)],
    )
  })
})
