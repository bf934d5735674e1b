import assert from 'node:assert/strict'
import { it } from 'node:test'
import { formatIpv4 } from '#protocol/ipv4.ts'
import type { Lease } from '#protocol/lease.ts'
import { parseMac } from '#protocol/mac.ts'
import { createDatabaseLeaseStore } from '#server/db/network/leases.ts'
import { machineMacs } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp } from '#test/support/test-app.ts'

const mac = (end: number) => parseMac(`5254000007${end.toString(16).padStart(2, '0')}`)

describeOnEveryDatabase('leases over HTTP', (_open, database) => {
  it('are found by any card of the machine, or by a card that is of none', async () => {
    await using app = await openTestApp({ database })
    const { db } = app.database
    const store = createDatabaseLeaseStore(db)
    const expiresAt = new Date(app.clock.now().getTime() + 3_600_000)
    for (const end of [1, 2, 3, 4]) {
      const address = formatIpv4(0x0a_00_00_00 + 109 - end * 9) // 10.0.0.100 comes after 10.0.0.91
      await store.save({ mac: mac(end), address, state: 'bound', expiresAt }, app.clock.now())
    }
    await app.call('PUT', `/api/machines/${mac(1)}`, {})
    await db.insert(machineMacs).values({ mac: mac(2), machine: mac(1) })
    const find = async (query: string) => {
      const { status, body } = await app.call<{ items: Lease[] }>('GET', `/api/leases${query}`)
      assert.equal(status, 200)
      return body.items.map((lease) => lease.mac)
    }
    assert.deepEqual(await find(''), [4, 3, 2, 1].map(mac))
    for (const end of [1, 2])
      assert.deepEqual((await find(`?mac=${mac(end)}`)).toSorted(), [mac(1), mac(2)])
    assert.deepEqual(await find('?mac=52-54-00-00-07-03'), [mac(3)])
    assert.deepEqual(await find(`?mac=${mac(9)}`), [])
    assert.equal((await app.call('GET', '/api/leases?mac=x')).status, 400)
  })
})
