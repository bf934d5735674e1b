import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import { createDatabaseLeaseStore, isLeasedTo, listLeases } from '#server/db/network/leases.ts'
import { leases } from '#server/db/schema.ts'
import { describeOnEveryDatabase, type TestDatabase } from '#test/support/database.ts'
import { testLeaseStore } from '#test/server/dhcp/lease-store-contract.ts'

const NOW = new Date('2026-05-01T12:00:00Z')
const LATER = new Date('2026-05-01T13:00:00Z')
const mac = (end: number) => parseMac(`5254000000${end.toString(16).padStart(2, '0')}`)
const address = (end: number) => parseIpv4(`10.0.0.${end}`)

describeOnEveryDatabase('leases', (openTestDatabase) => {
  let database: TestDatabase
  before(async () => {
    database = await openTestDatabase()
  })
  after(() => database[Symbol.asyncDispose]())

  const createStore = async () => {
    await database.db.delete(leases)
    return createDatabaseLeaseStore(database.db)
  }
  testLeaseStore(createStore)

  it('of many that want one address at once, one gets it', async () => {
    const store = await createStore()
    const saves = Array.from({ length: 10 }, (_, i) =>
      store.save({ mac: mac(i), address: address(9), state: 'bound', expiresAt: LATER }, NOW),
    )
    const saved = await Promise.all(saves)
    assert.equal(saved.filter(Boolean).length, 1)
    assert.equal((await store.findByAddress(address(9)))?.mac, mac(saved.indexOf(true)))
  })

  it('of many addresses saved at once for a machine, it keeps one', async () => {
    const store = await createStore()
    const saves = Array.from({ length: 10 }, (_, i) =>
      store.save({ mac: mac(1), address: address(i + 1), state: 'offered', expiresAt: LATER }, NOW),
    )
    await Promise.all(saves)
    assert.equal((await store.list()).length, 1)
  })

  it('lists by address, as numbers go', async () => {
    const store = await createStore()
    for (const end of [10, 9, 100])
      await store.save(
        { mac: mac(end), address: address(end), state: 'bound', expiresAt: LATER },
        NOW,
      )
    const first = await listLeases(database.db, { after: undefined, limit: 2 })
    assert.deepEqual(
      first.items.map((lease) => lease.address),
      ['10.0.0.9', '10.0.0.10'],
    )
    const rest = await listLeases(database.db, { after: parseIpv4(first.next!), limit: 2 })
    assert.deepEqual([rest.items.map((lease) => lease.address), rest.next], [['10.0.0.100'], null])
  })

  it('an address proves its card while the lease runs', async () => {
    const store = await createStore()
    await store.save({ mac: mac(1), address: address(1), state: 'bound', expiresAt: LATER }, NOW)
    await store.save({ mac: mac(2), address: address(2), state: 'offered', expiresAt: LATER }, NOW)
    const isLeased = (end: number, card: number, now: Date) =>
      isLeasedTo(database.db, address(end), mac(card), now)
    assert.equal(await isLeased(1, 1, NOW), true)
    assert.equal(await isLeased(1, 2, NOW), false)
    assert.equal(await isLeased(1, 1, LATER), false)
    assert.equal(await isLeased(2, 2, NOW), false)
  })
})
