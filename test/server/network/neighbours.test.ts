import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { ipv4Of, isOnLink, parseNeighbours } from '#server/network/neighbours.ts'

/** As Linux 6.1 prints it. */
const TABLE = `IP address       HW type     Flags       HW address            Mask     Device
10.0.0.7         0x1         0x2         52:54:00:00:00:07     *        eth0
10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0
10.0.0.9         0x1         0x6         52:54:00:00:00:09     *        eth0
10.0.0.10        0x1         0x2         52:54:00:00:00:10     *        eth1
10.0.0.11        0x20        0x2         80:00:02:08:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:01 * eth0
`

describe('neighbours', () => {
  it('are those of the interface that answered, permanent ones included', () => {
    assert.deepEqual(
      [...parseNeighbours(TABLE, 'eth0')],
      [
        ['10.0.0.7', '52:54:00:00:00:07'],
        ['10.0.0.9', '52:54:00:00:00:09'],
      ],
    )
  })

  it('the loopback is not on the link, whatever listens there', () => {
    const cidr = { address: parseIpv4('10.0.0.1'), prefixLength: 24 }
    const network = { interface: 'eth0', cidr }
    assert.equal(isOnLink(network, parseIpv4('10.0.0.200')), true)
    assert.equal(isOnLink(network, parseIpv4('127.0.0.1')), false)
    assert.equal(isOnLink(undefined, parseIpv4('10.0.0.200')), false)
  })

  it('an IPv4 address may come in the clothes of IPv6', () => {
    assert.equal(ipv4Of('::ffff:10.0.0.7'), '10.0.0.7')
    assert.equal(ipv4Of('::1'), undefined)
  })
})
