import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatIpv4, parseIpv4, parseIpv4Cidr, parseIpv4Range, type Ipv4 } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { createDatabaseLeaseStore, type Lease } from '#server/db/network/leases.ts'
import { hearDhcpServer } from '#server/db/network/other-dhcp-servers.ts'
import { saveReservation } from '#server/db/network/reservations.ts'
import { countPool, readNetworkStatus } from '#server/network/network-status.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp } from '#test/support/test-app.ts'

const NOW = new Date('2026-05-01T12:00:00Z')
const RANGE = parseIpv4Range('10.0.0.10-10.0.0.19')
const address = (end: number): Ipv4 => formatIpv4(0x0a_00_00_00 + end)
const mac = (end: number) => parseMac(`5254000000${end.toString(16).padStart(2, '0')}`)

describe('the pool', () => {
  const lease = (end: number, state = 'bound') => ({ address: address(end), state })
  const cases: [
    string,
    Parameters<typeof countPool>[1],
    number[],
    Partial<ReturnType<typeof countPool>>,
  ][] = [
    ['is free at first', [], [], { leased: 0, declined: 0, reserved: 0, free: 10 }],
    ['knows both ends of its range', [lease(10), lease(19)], [], { leased: 2, free: 8 }],
    ['has nothing to do with leases beyond it', [lease(9), lease(20)], [], { leased: 0, free: 10 }],
    ['counts what is only offered', [lease(10, 'offered')], [], { leased: 1, free: 9 }],
    ['keeps declined apart', [lease(10, 'declined')], [], { leased: 0, declined: 1, free: 9 }],
    ['counts a lease of what is reserved once', [lease(12)], [12, 13], { reserved: 1, free: 8 }],
    ['does not lack what is reserved beyond it', [], [200], { reserved: 0, free: 10 }],
  ]
  for (const [what, leases, reserved, expected] of cases)
    it(what, () => {
      const reservations = reserved.map((end) => ({ address: address(end) }))
      const pool = countPool(RANGE, leases, reservations)
      assert.partialDeepStrictEqual(pool, { size: 10, ...expected })
      assert.equal(pool.leased + pool.declined + pool.reserved + pool.free, pool.size)
    })
})

describeOnEveryDatabase('the network as it is', (openTestDatabase, kind) => {
  it('tells of pool, settings and other DHCP servers', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const store = createDatabaseLeaseStore(db)
    const save = (end: number, state: Lease['state'], minutes: number) => {
      const expiresAt = new Date(NOW.getTime() + minutes * 60_000)
      return store.save({ mac: mac(end), address: address(end), state, expiresAt }, NOW)
    }
    await save(10, 'bound', 60)
    await save(11, 'offered', 1)
    await save(12, 'declined', 10)
    await save(13, 'released', 60)
    await save(14, 'bound', -1) // it ran out
    await save(200, 'bound', 60) // of a range from before
    await saveReservation(db, mac(10), { address: address(10), hostname: null })
    await saveReservation(db, mac(15), { address: address(15), hostname: null })
    const later = new Date(NOW.getTime() + 1000)
    for (const [end, at] of [
      [1, NOW],
      [2, later],
      [1, NOW],
    ] as const)
      await hearDhcpServer(db, { address: address(end), notice: {}, now: at })
    const status = await readNetworkStatus({
      config: {
        network: { interface: 'eth0', cidr: parseIpv4Cidr('10.0.0.5/24') },
        dhcp: {
          mode: 'server',
          range: RANGE,
          router: parseIpv4('10.0.0.254'),
          dns: [parseIpv4('10.0.0.53')],
          leaseSeconds: 600,
          force: false,
        },
        unknown: 'local',
      },
      db,
      url: 'http://10.0.0.5:8080',
      tftp: '10.0.0.5 port 69',
      bootFileNames: async () => new Set(['undionly.kpxe', 'snponly.efi']),
      now: () => NOW,
    })
    const { interfaces, ...rest } = status
    assert.ok(interfaces.every(({ address: own }) => !own.startsWith('127.')))
    const [first, second] = [NOW.toISOString(), later.toISOString()]
    assert.deepEqual(rest, {
      url: 'http://10.0.0.5:8080',
      interface: 'eth0',
      dhcp: {
        mode: 'server',
        range: { first: '10.0.0.10', last: '10.0.0.19' },
        router: '10.0.0.254',
        dns: ['10.0.0.53'],
        leaseSeconds: 600,
        pool: { size: 10, leased: 2, declined: 1, reserved: 1, free: 6 },
      },
      otherServers: [
        { address: '10.0.0.2', firstHeardAt: second, lastHeardAt: second },
        { address: '10.0.0.1', firstHeardAt: first, lastHeardAt: first },
      ],
      tftp: '10.0.0.5 port 69',
      bootFiles: ['snponly.efi', 'undionly.kpxe'],
      unknown: 'local',
    })
  })

  it('is answered over HTTP, without DHCP too', async () => {
    await using app = await openTestApp({ database: kind })
    const { status, body } = await app.call<NetworkStatus>('GET', '/api/network')
    assert.equal(status, 200)
    assert.partialDeepStrictEqual(body, {
      url: app.url,
      dhcp: { mode: 'off' },
      tftp: 'off',
      unknown: 'inventory',
    })
    assert.deepEqual([body.dhcp.dns, body.otherServers], [[], []])
  })
})
