import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import type { Lease, LeaseStore } from '#server/dhcp/lease-store.ts'

const A = parseMac('52:54:00:00:00:0a')
const B = parseMac('52:54:00:00:00:0b')
const TEN = parseIpv4('10.0.0.10')
const ELEVEN = parseIpv4('10.0.0.11')
const NOW = new Date('2026-01-01T00:00:00Z')
const LATER = new Date('2026-01-01T01:00:00Z')

const bound = (mac: typeof A, address: typeof TEN): Lease => ({
  mac,
  address,
  state: 'bound',
  expiresAt: LATER,
})

/** What every lease store promises. `createStore` gives an empty one each time. */
export function testLeaseStore(createStore: () => LeaseStore | Promise<LeaseStore>): void {
  it('finds a lease by machine and by address', async () => {
    const store = await createStore()
    const lease = { ...bound(A, TEN), hostname: 'rack3' }
    assert.equal(await store.save(lease, NOW), true)
    assert.deepEqual(await store.findByMac(A), lease)
    assert.deepEqual(await store.findByAddress(TEN), lease)
    assert.deepEqual(await store.list(), [lease])
    assert.equal(await store.findByMac(B), undefined)
    assert.equal(await store.findByAddress(ELEVEN), undefined)
  })

  it('refuses an address that is held for another machine, until it expires', async () => {
    const store = await createStore()
    await store.save(bound(A, TEN), NOW)
    assert.equal(await store.save(bound(B, TEN), NOW), false)
    assert.equal((await store.findByAddress(TEN))?.mac, A)
    assert.equal(await store.save({ ...bound(B, TEN), expiresAt: new Date(2e12) }, LATER), true)
    assert.equal((await store.findByAddress(TEN))?.mac, B)
  })

  it('gives one of two machines that ask at once the address', async () => {
    const store = await createStore()
    const saved = await Promise.all([A, B].map((mac) => store.save(bound(mac, TEN), NOW)))
    assert.equal(saved.filter(Boolean).length, 1)
  })

  it('gives a released address to whoever asks first', async () => {
    const store = await createStore()
    await store.save({ ...bound(A, TEN), state: 'released' }, NOW)
    assert.equal(await store.save(bound(B, TEN), NOW), true)
  })

  it('keeps one lease of a machine', async () => {
    const store = await createStore()
    await store.save(bound(A, TEN), NOW)
    await store.save(bound(A, ELEVEN), NOW)
    assert.deepEqual(await store.list(), [bound(A, ELEVEN)])
  })

  it('keeps a declined address set aside beside the machine’s new lease', async () => {
    const store = await createStore()
    await store.save(bound(A, TEN), NOW)
    await store.save({ ...bound(A, TEN), state: 'declined' }, NOW)
    assert.equal(await store.findByMac(A), undefined)
    await store.save(bound(A, ELEVEN), NOW)
    assert.equal((await store.findByMac(A))?.address, ELEVEN)
    assert.equal((await store.findByAddress(TEN))?.state, 'declined')
    assert.equal(await store.save(bound(B, TEN), NOW), false)
  })
}
