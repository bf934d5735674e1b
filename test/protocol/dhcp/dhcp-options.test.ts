import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeDhcp, type DhcpPacket } from '#protocol/dhcp/dhcp.ts'
import { DhcpDecodeError } from '#protocol/dhcp/dhcp-error.ts'
import {
  asksFor,
  findAddress,
  findArchitectures,
  findHostname,
  findMac,
  findMessage,
  findNumber,
  findText,
  findUserClasses,
} from '#protocol/dhcp/dhcp-options.ts'

function packetWith(options: Record<number, string | number[]>): DhcpPacket {
  const bytes = Buffer.alloc(240)
  bytes.set([1, 1, 6])
  bytes.set([0x52, 0x54, 0, 0x12, 0x34, 0x56], 28)
  bytes.writeUInt32BE(0x63825363, 236)
  const values = Object.entries(options).map(
    ([code, value]) => [Number(code), Buffer.from(value as string)] as const,
  )
  return { ...decodeDhcp(bytes), options: new Map(values) }
}

describe('DHCP options', () => {
  it('tell the message, or nothing for a number that nobody knows', () => {
    assert.equal(findMessage(packetWith({ 53: [1] })), 'discover')
    assert.equal(findMessage(packetWith({ 53: [8] })), 'inform')
    for (const number of [0, 9, 255])
      assert.equal(findMessage(packetWith({ 53: [number] })), undefined)
    assert.equal(findMessage(packetWith({})), undefined)
  })

  it('tell the MAC of Ethernet only', () => {
    const packet = packetWith({})
    assert.equal(findMac(packet), '52:54:00:12:34:56')
    assert.equal(findMac({ ...packet, hardwareType: 32 }), undefined)
    assert.equal(findMac({ ...packet, hardwareAddress: new Uint8Array(8) }), undefined)
  })

  it('are refused with a wrong length', () => {
    assert.throws(() => findMessage(packetWith({ 53: [] })), DhcpDecodeError)
    assert.throws(() => findAddress(packetWith({ 50: [1, 2, 3] }), 50), DhcpDecodeError)
    assert.throws(() => findNumber(packetWith({ 57: [1] }), 57, 2), DhcpDecodeError)
  })

  it('give addresses, numbers and text', () => {
    const packet = packetWith({ 50: [10, 0, 0, 7], 57: [5, 220], 12: 'rack3\0', 55: [1, 67] })
    assert.equal(findAddress(packet, 50), '10.0.0.7')
    assert.equal(findNumber(packet, 57, 2), 1500)
    assert.equal(findText(packet, 12), 'rack3')
    assert.deepEqual([asksFor(packet, 67), asksFor(packet, 66)], [true, false])
  })

  it('give a host name only if it is one', () => {
    for (const name of ['rack3', 'a', 'rack-3.example.org', '_x', 'n'.repeat(253)])
      assert.equal(findHostname(packetWith({ 12: name })), name)
    for (const name of ['', 'a b', 'a\0b', '-a', 'a.', '<b>', 'ä', 'n'.repeat(254), '\n'])
      assert.equal(findHostname(packetWith({ 12: name })), undefined)
  })

  it('give the architectures in the client’s order', () => {
    assert.deepEqual(findArchitectures(packetWith({ 93: [0, 7, 0, 9, 0] })), [7, 9])
    assert.deepEqual(findArchitectures(packetWith({})), [])
    assert.equal(findArchitectures(packetWith({ 93: '\0'.repeat(600) })).length, 16)
  })

  it('give user classes with lengths (RFC 3004) and the bare text of older iPXE alike', () => {
    for (const [value, classes] of [
      ['iPXE', ['iPXE']],
      ['\x04iPXE', ['iPXE']],
      ['\x04iPXE\x03lab', ['iPXE', 'lab']],
      ['\x05iPXE', ['\x05iPXE']],
      ['', []],
    ] as const)
      assert.deepEqual(findUserClasses(packetWith({ 77: value })), classes)
  })
})
