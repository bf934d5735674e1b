import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import type { Lease, LeaseState } from '#server/dhcp/lease-store.ts'
import { chooseAddress } from '#server/dhcp/pool.ts'
import { ELEVEN, MACHINE, NOW, OTHER, SETTINGS, TEN, US } from './packets.ts'

const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000)
const lease = (last: number, expires: number, state: LeaseState = 'bound', mac = OTHER): Lease => ({
  mac,
  address: parseIpv4(`10.0.0.${last}`),
  state,
  expiresAt: at(expires),
})

const choose = (parts: Partial<Parameters<typeof chooseAddress>[0]>, settings = SETTINGS) =>
  chooseAddress(
    { mac: MACHINE, preferred: [], leases: [], reservations: [], now: NOW, ...parts },
    settings,
  )

describe('chooseAddress', () => {
  it('takes the first that nobody ever had', () => {
    assert.equal(choose({}), TEN)
    assert.equal(choose({ leases: [lease(10, -50)] }), ELEVEN)
  })

  it('takes what is preferred, if it is free', () => {
    const preferred = [ELEVEN, parseIpv4('10.0.0.12')]
    assert.equal(choose({ preferred }), ELEVEN)
    assert.equal(choose({ preferred, leases: [lease(11, 5)] }), '10.0.0.12')
    assert.equal(choose({ preferred, leases: [lease(11, 5, 'bound', MACHINE)] }), ELEVEN)
  })

  it('takes the one that has been free the longest when all were used', () => {
    const leases = [lease(10, -10), lease(11, -90), lease(12, -50), lease(13, 50)]
    assert.equal(choose({ leases }), ELEVEN)
  })

  it('takes a released one, not one that is held', () => {
    const leases = [lease(10, 5), lease(11, 5), lease(12, 0, 'released'), lease(13, 5)]
    assert.equal(choose({ leases }), '10.0.0.12')
  })

  it('leaves a declined address alone, even for the machine that declined it', () => {
    const leases = [lease(10, 5, 'declined', MACHINE)]
    assert.equal(choose({ leases, preferred: [TEN] }), ELEVEN)
    assert.equal(choose({ leases: [lease(10, -1, 'declined', MACHINE)], preferred: [TEN] }), TEN)
  })

  it('keeps reserved addresses for their machines', () => {
    assert.equal(choose({ reservations: [{ mac: OTHER, address: TEN }] }), ELEVEN)
    assert.equal(choose({ reservations: [{ mac: MACHINE, address: TEN }] }), TEN)
  })

  it('never gives away the server’s, the router’s, a name server’s or the network’s own', () => {
    const range = { start: 0x0a000000, end: 0x0a000100 }
    const pool = { ...SETTINGS.pool, range, router: TEN, nameServers: [ELEVEN] }
    const leases: Lease[] = []
    for (let address; (address = choose({ leases }, { ...SETTINGS, pool }));)
      leases.push({ mac: OTHER, address, state: 'bound', expiresAt: at(9) })
    assert.equal(leases.length, 254 - 3)
    const given = leases.map(({ address }) => address)
    for (const address of [US, TEN, ELEVEN, '10.0.0.0', '10.0.0.255'])
      assert.ok(!given.some((one) => one === address), address)
  })

  it('has nothing when everything is held', () => {
    assert.equal(choose({ leases: [10, 11, 12, 13].map((last) => lease(last, 5)) }), undefined)
  })
})
