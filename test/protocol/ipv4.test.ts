import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  broadcastOf,
  formatIpv4,
  formatIpv4Range,
  ipv4ToNumber,
  isHostAddress,
  netmaskOf,
  parseIpv4,
  parseIpv4Cidr,
  parseIpv4Range,
  rangeContains,
} from '#protocol/ipv4.ts'

const anyAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe('IPv4 addresses', () => {
  it('are the same text after a trip through their number', () => {
    fc.assert(
      fc.property(anyAddress, (value) => {
        const text = formatIpv4(value)
        assert.equal(parseIpv4(text), text)
        assert.equal(ipv4ToNumber(text), value)
      }),
    )
  })

  it('are refused when a program could read them in two ways, or at all wrongly', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '010.0.0.1',
      '1.2.3.256',
      '0x1.2.3.4',
      '1.2.3.4 ',
    ])
      assert.throws(() => parseIpv4(text), TypeError, text)
    for (const value of [-1, 2 ** 32, 1.5, Number.NaN])
      assert.throws(() => formatIpv4(value), RangeError)
  })
})

describe('IPv4 ranges', () => {
  it('include the last address that was written', () => {
    const range = parseIpv4Range('10.0.0.10-10.0.0.19')
    assert.equal(range.end - range.start, 10)
    assert.ok(rangeContains(range, parseIpv4('10.0.0.19')))
    assert.ok(!rangeContains(range, parseIpv4('10.0.0.20')))
    assert.equal(formatIpv4Range(range), '10.0.0.10-10.0.0.19')
  })

  it('are refused when they end before they begin or are no range', () => {
    for (const text of ['10.0.0.2-10.0.0.1', '10.0.0.1', '10.0.0.1-', '10.0.0.1-10.0.0.2-10.0.0.3'])
      assert.throws(() => parseIpv4Range(text), TypeError, text)
  })
})

describe('IPv4 networks', () => {
  it('know their mask, their broadcast address and who may live in them', () => {
    const cidr = parseIpv4Cidr('10.1.2.77/26')
    assert.equal(netmaskOf(cidr.prefixLength), '255.255.255.192')
    assert.equal(broadcastOf(cidr), '10.1.2.127')
    for (const [address, is] of [
      ['10.1.2.64', false],
      ['10.1.2.65', true],
      ['10.1.2.126', true],
      ['10.1.2.127', false],
      ['10.1.3.65', false],
    ] as const)
      assert.equal(isHostAddress(cidr, parseIpv4(address)), is, address)
  })

  it('have a mask for each prefix length', () => {
    for (const [length, mask] of [
      [0, '0.0.0.0'],
      [8, '255.0.0.0'],
      [23, '255.255.254.0'],
      [25, '255.255.255.128'],
      [32, '255.255.255.255'],
    ] as const)
      assert.equal(netmaskOf(length), mask)
  })

  it('are refused with a wrong prefix', () => {
    for (const text of ['10.0.0.1', '10.0.0.1/33', '10.0.0/8', '10.0.0.1/', '10.0.0.1/24x'])
      assert.throws(() => parseIpv4Cidr(text), TypeError, text)
  })
})
