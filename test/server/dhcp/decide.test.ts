import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { type Decision, decide, type DhcpState } from '#server/dhcp/decide.ts'
import type { Lease, LeaseState } from '#server/dhcp/lease-store.ts'
import { ELEVEN, MACHINE, NOW, OTHER, packetFrom, SETTINGS, TEN } from './packets.ts'

const HOUR_LATER = new Date(NOW.getTime() + 3600_000)
const SOON = new Date(NOW.getTime() + 30_000)
const EARLIER = new Date(NOW.getTime() - 1000)
const OUTSIDE = parseIpv4('10.0.0.99')

const lease = (state: LeaseState = 'bound', address = TEN, expiresAt = HOUR_LATER): Lease => ({
  mac: MACHINE,
  address,
  state,
  expiresAt,
})
const own = { lease: lease(), reservations: [] }
const nobody = { reservations: [] }
const reserved = (address = ELEVEN, mac = MACHINE) => ({ reservations: [{ mac, address }] })

type Case = [
  what: string,
  packet: Parameters<typeof packetFrom>,
  state: DhcpState,
  expected: Partial<Decision>,
]

const ours = { serverId: '10.0.0.1' }
const ack = (address = TEN): Partial<Decision> => ({
  kind: 'ack',
  lease: { mac: MACHINE, address, state: 'bound', expiresAt: HOUR_LATER },
})
const allocate = (...preferred: string[]): Partial<Decision> => ({
  kind: 'allocate',
  preferred: preferred.map(parseIpv4),
})

const cases: Record<string, Case[]> = {
  'a DISCOVER': [
    ['from a new machine', ['discover'], nobody, allocate()],
    [
      'that asks for an address of the pool',
      ['discover', { requested: '10.0.0.12' }],
      nobody,
      allocate('10.0.0.12'),
    ],
    [
      'that asks for an address before the pool',
      ['discover', { requested: '10.0.0.9' }],
      nobody,
      allocate(),
    ],
    [
      'that asks for an address behind the pool',
      ['discover', { requested: '10.0.0.14' }],
      nobody,
      allocate(),
    ],
    [
      'that asks for what is not ours',
      ['discover', { requested: '192.168.0.9' }],
      nobody,
      allocate(),
    ],
    ['that asks for our own address', ['discover', { requested: '10.0.0.1' }], nobody, allocate()],
    [
      'from a machine with a lease keeps it as it is',
      ['discover'],
      own,
      { kind: 'offer', lease: lease() },
    ],
    [
      'after an expired lease',
      ['discover'],
      { lease: lease('bound', TEN, EARLIER), reservations: [] },
      { kind: 'offer', lease: lease('offered', TEN, SOON) },
    ],
    [
      'after a release',
      ['discover'],
      { lease: lease('released', TEN, EARLIER), reservations: [] },
      { kind: 'offer', lease: lease('offered', TEN, SOON) },
    ],
    [
      'with a lease that left the range',
      ['discover'],
      { lease: lease('bound', OUTSIDE), reservations: [] },
      allocate(),
    ],
    [
      'with a new reservation',
      ['discover'],
      { lease: lease(), ...reserved() },
      allocate(ELEVEN, TEN),
    ],
    ['with a reservation outside of the range', ['discover'], reserved(OUTSIDE), allocate(OUTSIDE)],
    [
      'whose address is now reserved for another',
      ['discover'],
      { lease: lease(), ...reserved(TEN, OTHER) },
      allocate(),
    ],
    [
      'through a relay of another network',
      ['discover', { giaddr: parseIpv4('10.9.0.1') }],
      nobody,
      { kind: 'ignore' },
    ],
    [
      'through a relay of ours',
      ['discover', { giaddr: parseIpv4('10.0.0.200') }],
      nobody,
      allocate(),
    ],
    ['that is a reply', ['discover', { op: 'reply' }], nobody, { kind: 'ignore' }],
    ['not from Ethernet', ['discover', { hardwareType: 32 }], nobody, { kind: 'ignore' }],
  ],
  'a REQUEST for an offer': [
    ['of ours', ['request', { ...ours, requested: TEN }], own, ack()],
    [
      'that expired, but that nobody took',
      ['request', { ...ours, requested: TEN }],
      { lease: lease('offered', TEN, EARLIER), reservations: [] },
      ack(),
    ],
    ['of ours, with the address in ciaddr', ['request', { ...ours, ciaddr: TEN }], own, ack()],
    [
      'of another server',
      ['request', { serverId: '10.0.0.2', requested: TEN }],
      own,
      { kind: 'ignore' },
    ],
    [
      'of another server, while ours waits',
      ['request', { serverId: '10.0.0.2', requested: ELEVEN }],
      { lease: lease('offered'), reservations: [] },
      { kind: 'end', lease: lease('released', TEN, NOW) },
    ],
    ['that we did not make', ['request', { ...ours, requested: ELEVEN }], own, { kind: 'nak' }],
    [
      'that we have no record of',
      ['request', { ...ours, requested: TEN }],
      nobody,
      { kind: 'nak' },
    ],
    [
      'that is now reserved for another',
      ['request', { ...ours, requested: TEN }],
      { lease: lease(), ...reserved(TEN, OTHER) },
      { kind: 'nak' },
    ],
  ],
  'a REQUEST after a reboot': [
    ['for its lease', ['request', { requested: TEN }], own, ack()],
    [
      'for another address of the network',
      ['request', { requested: ELEVEN }],
      own,
      { kind: 'nak' },
    ],
    [
      'for an address of another network',
      ['request', { requested: '192.168.0.9' }],
      nobody,
      { kind: 'nak' },
    ],
    ['from a machine without record', ['request', { requested: TEN }], nobody, { kind: 'ignore' }],
    ['for its reservation', ['request', { requested: ELEVEN }], reserved(), ack(ELEVEN)],
    [
      'for its old lease, now that it has a reservation',
      ['request', { requested: TEN }],
      { lease: lease(), ...reserved() },
      { kind: 'nak' },
    ],
    [
      'for its lease, which is now reserved for another',
      ['request', { requested: TEN }],
      { lease: lease(), ...reserved(TEN, OTHER) },
      { kind: 'nak' },
    ],
  ],
  'a REQUEST to renew': [
    ['its lease', ['request', { ciaddr: TEN }], own, ack()],
    [
      'its lease, which a reservation does not interrupt',
      ['request', { ciaddr: TEN }],
      { lease: lease(), ...reserved() },
      ack(),
    ],
    [
      'an address of the pool that we lost the record of',
      ['request', { ciaddr: TEN }],
      nobody,
      ack(),
    ],
    ['another address than its lease', ['request', { ciaddr: ELEVEN }], own, { kind: 'nak' }],
    ['an address that left the range', ['request', { ciaddr: OUTSIDE }], nobody, { kind: 'nak' }],
    [
      'an address that is reserved for another',
      ['request', { ciaddr: TEN }],
      { lease: lease(), ...reserved(TEN, OTHER) },
      { kind: 'nak' },
    ],
  ],
  'a DECLINE': [
    [
      'of its lease',
      ['decline', { ...ours, requested: TEN }],
      own,
      { kind: 'end', lease: lease('declined', TEN, HOUR_LATER) },
    ],
    ['of somebody’s address', ['decline', { ...ours, requested: ELEVEN }], own, { kind: 'ignore' }],
    ['without a lease', ['decline', { ...ours, requested: TEN }], nobody, { kind: 'ignore' }],
    [
      'to another server',
      ['decline', { serverId: '10.0.0.2', requested: TEN }],
      own,
      { kind: 'ignore' },
    ],
  ],
  'a RELEASE': [
    [
      'of its lease',
      ['release', { ...ours, ciaddr: TEN }],
      own,
      { kind: 'end', lease: lease('released', TEN, NOW) },
    ],
    ['of somebody’s address', ['release', { ...ours, ciaddr: ELEVEN }], own, { kind: 'ignore' }],
    [
      'to another server',
      ['release', { serverId: '10.0.0.2', ciaddr: TEN }],
      own,
      { kind: 'ignore' },
    ],
  ],
  'other messages': [
    ['an INFORM from our network', ['inform', { ciaddr: OUTSIDE }], nobody, { kind: 'inform' }],
    [
      'an INFORM from elsewhere',
      ['inform', { ciaddr: parseIpv4('10.9.0.9') }],
      nobody,
      { kind: 'ignore' },
    ],
    ['an INFORM without an address', ['inform'], nobody, { kind: 'ignore' }],
    ['a REQUEST for nothing after an offer', ['request'], own, ack()],
    ['a REQUEST for nothing without an offer', ['request'], nobody, { kind: 'ignore' }],
    [
      'a REQUEST for nothing after its lease expired',
      ['request'],
      { lease: lease('bound', TEN, EARLIER), reservations: [] },
      { kind: 'ignore' },
    ],
    [
      'a REQUEST for nothing after an offer of what is now reserved for another',
      ['request'],
      { lease: lease('offered'), ...reserved(TEN, OTHER) },
      { kind: 'nak' },
    ],
    ['an OFFER', ['offer'], own, { kind: 'ignore' }],
  ],
}

describe('decide', () => {
  for (const [group, rows] of Object.entries(cases))
    describe(group, () => {
      for (const [what, packet, state, expected] of rows)
        it(`${what}`, () => {
          const decision = decide(packetFrom(...packet), state, SETTINGS, NOW)
          assert.partialDeepStrictEqual(decision, expected)
          // No address is a part of any addresses.
          if (decision.kind === 'allocate' && expected.kind === 'allocate')
            assert.deepEqual(decision.preferred, expected.preferred)
        })
    })

  it('remembers the name that a machine gives itself', () => {
    const options: [number, Uint8Array][] = [[12, Buffer.from('rack3')]]
    const bound = decide(packetFrom('request', { ciaddr: TEN, options }), own, SETTINGS, NOW)
    assert.partialDeepStrictEqual(bound, { lease: { hostname: 'rack3' } })
    const again = decide(
      packetFrom('request', { ciaddr: TEN }),
      { ...own, lease: { ...lease(), hostname: 'rack3' } },
      SETTINGS,
      NOW,
    )
    assert.partialDeepStrictEqual(again, { lease: { hostname: 'rack3' } })
  })

  it('does not care for the client identifier: one machine, one lease', () => {
    const options: [number, Uint8Array][] = [[61, Buffer.from('another one')]]
    const decision = decide(packetFrom('discover', { options }), own, SETTINGS, NOW)
    assert.partialDeepStrictEqual(decision, { kind: 'offer', lease: { address: TEN } })
  })
})
