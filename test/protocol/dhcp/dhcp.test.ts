import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodeDhcp, type DhcpPacket, encodeDhcp } from '#protocol/dhcp/dhcp.ts'
import { DhcpDecodeError } from '#protocol/dhcp/dhcp-error.ts'
import { DHCP_OPTION } from '#protocol/dhcp/dhcp-fields.ts'
import { formatIpv4, parseIpv4 } from '#protocol/ipv4.ts'

const DISCOVER: DhcpPacket = {
  op: 'request',
  hardwareType: 1,
  hops: 0,
  transactionId: 0xdeadbeef,
  secs: 4,
  broadcast: true,
  ciaddr: parseIpv4('0.0.0.0'),
  yiaddr: parseIpv4('0.0.0.0'),
  siaddr: parseIpv4('0.0.0.0'),
  giaddr: parseIpv4('0.0.0.0'),
  hardwareAddress: Buffer.from('525400123456', 'hex'),
  serverName: '',
  bootFileName: '',
  options: new Map([[53, Uint8Array.of(1)]]),
}

const ROOMY_BYTES = 4096

const address = fc.integer({ min: 0, max: 2 ** 32 - 1 }).map(formatIpv4)
const text = (maxLength: number) =>
  fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((n) => String.fromCharCode(n)),
    maxLength,
  })
const optionCode = fc.integer({ min: 1, max: 254 }).filter((code) => code !== DHCP_OPTION.overload)
const packets: fc.Arbitrary<DhcpPacket> = fc.record({
  op: fc.constantFrom('request', 'reply'),
  hardwareType: fc.nat(255),
  hops: fc.nat(255),
  transactionId: fc.nat(2 ** 32 - 1),
  secs: fc.nat(65535),
  broadcast: fc.boolean(),
  ciaddr: address,
  yiaddr: address,
  siaddr: address,
  giaddr: address,
  hardwareAddress: fc.uint8Array({ maxLength: 16 }),
  serverName: text(63),
  bootFileName: text(127),
  options: fc
    .array(fc.tuple(optionCode, fc.uint8Array({ maxLength: 300 })), { maxLength: 8 })
    .map((entries) => new Map(entries)),
})

/** What may differ after a trip is the kind of the byte arrays and the order of the options. */
function comparable(packet: DhcpPacket): unknown {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const options = Object.fromEntries(packet.options.entries().map(([c, value]) => [c, hex(value)]))
  return { ...packet, hardwareAddress: hex(packet.hardwareAddress), options }
}

describe('DHCP codec', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(packets, (packet) => {
        const decoded = decodeDhcp(encodeDhcp(packet, ROOMY_BYTES))
        assert.deepEqual(comparable(decoded), comparable(packet))
      }),
    )
  })

  it('throws nothing but DhcpDecodeError for bytes at random', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), survives), { numRuns: 2000 })
  })

  it('throws nothing but DhcpDecodeError for packets with bytes changed or cut off', () => {
    const change = fc.tuple(fc.nat(699), fc.nat(255))
    const changes = fc.array(change, { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(packets, changes, fc.nat(699), (packet, edits, length) => {
        const bytes = encodeDhcp(packet)
        for (const [at, byte] of edits) if (at < bytes.length) bytes[at] = byte
        survives(bytes.subarray(0, Math.max(200, length)))
      }),
      { numRuns: 2000 },
    )
  })

  it('pads a packet to the 300 bytes that old clients expect', () => {
    assert.equal(encodeDhcp(DISCOVER).length, 300)
  })

  it('splits a long option into parts and joins them again (RFC 3396)', () => {
    const value = Buffer.alloc(600, 'abcdefg')
    const bytes = encodeDhcp({ ...DISCOVER, options: new Map([[67, value]]) }, ROOMY_BYTES)
    assert.deepEqual([...bytes.subarray(240, 242)], [67, 255])
    assert.deepEqual([...bytes.subarray(240 + 257, 240 + 259)], [67, 255])
    assert.deepEqual([...bytes.subarray(240 + 514, 240 + 516)], [67, 90])
    assert.deepEqual(decodeDhcp(bytes).options.get(67), value)
  })

  it('has a NUL after the name of the boot file, which old firmware reads as a C string', () => {
    const name = Buffer.from('undionly.kpxe')
    const options = new Map([
      [67, name],
      [66, Buffer.from('10.0.0.1')],
    ])
    const bytes = Buffer.from(encodeDhcp({ ...DISCOVER, options }))
    const start = bytes.indexOf(name)
    assert.equal(bytes.toString('latin1', start, bytes.indexOf(0, start)), 'undionly.kpxe')
    assert.deepEqual(decodeDhcp(bytes).options, options)
  })

  it('reads options from file and sname where option 52 says so, in the order of RFC 3396', () => {
    const bytes = Buffer.from(encodeDhcp({ ...DISCOVER, options: new Map() }))
    bytes.set([52, 1, 3, 12, 1, 97, 255], 240)
    bytes.set([12, 1, 98, 255], 108) // file
    bytes.set([0, 12, 1, 99, 255], 44) // sname, after a PAD
    const packet = decodeDhcp(bytes)
    assert.equal(Buffer.from(packet.options.get(12)!).toString(), 'abc')
    assert.deepEqual([packet.serverName, packet.bootFileName], ['', ''])
    assert.equal(packet.options.has(52), false)
  })

  it('keeps to the size that the client takes, using file and sname where they are free', () => {
    const options = new Map([53, 1, 3, 6, 15, 43, 12, 66].map((c) => [c, Buffer.alloc(58, c)]))
    const bytes = encodeDhcp({ ...DISCOVER, options })
    assert.ok(bytes.length <= 548)
    assert.deepEqual(new Set(decodeDhcp(bytes).options.keys()), new Set(options.keys()))
  })

  it('leaves out what fits nowhere, but never the relay’s information, which goes last', () => {
    const options = new Map([
      [53, Uint8Array.of(2)],
      [82, Buffer.alloc(200, 1)],
      [43, Buffer.alloc(250, 2)],
      [3, Buffer.alloc(4, 3)],
    ])
    const named = { ...DISCOVER, bootFileName: 'a', serverName: 'b', options }
    const decoded = decodeDhcp(encodeDhcp(named))
    assert.deepEqual([...decoded.options.keys()], [53, 3, 82])
    assert.equal(decoded.bootFileName, 'a')
  })

  it('forgives a missing END and does not read what follows one', () => {
    const packet = Buffer.from(encodeDhcp({ ...DISCOVER, options: new Map() }))
    packet.set([53, 1, 1, 255, 12, 200], 240)
    assert.deepEqual([...decodeDhcp(packet).options.keys()], [53])
    assert.deepEqual([...decodeDhcp(packet.subarray(0, 243)).options.keys()], [53])
  })

  it('refuses what cannot be read', () => {
    const good = Buffer.from(encodeDhcp(DISCOVER))
    const changed = (at: number, ...bytes: number[]) => {
      const copy = Buffer.from(good)
      copy.set(bytes, at)
      return copy
    }
    const bad = {
      'too short': good.subarray(0, 239),
      'no magic cookie': changed(236, 0),
      'neither request nor reply': changed(0, 3),
      'hardware address too long': changed(2, 17),
      'option cut off': good.subarray(0, 242),
      'option without length': good.subarray(0, 241),
      'overload 4': changed(240, 52, 1, 4, 255),
      'overload of two bytes': changed(240, 52, 2, 1, 1, 255),
      'broken options in file': changed(108, 12, 255),
    }
    bad['broken options in file'].set([52, 1, 1, 255], 240)
    for (const [what, bytes] of Object.entries(bad))
      assert.throws(() => decodeDhcp(bytes), DhcpDecodeError, what)
  })

  it('refuses to write a name that does not fit its field', () => {
    assert.throws(() => encodeDhcp({ ...DISCOVER, bootFileName: 'x'.repeat(128) }), RangeError)
    assert.throws(() => encodeDhcp({ ...DISCOVER, serverName: 'x'.repeat(64) }), RangeError)
  })
})

function survives(bytes: Uint8Array): void {
  try {
    decodeDhcp(bytes)
  } catch (err) {
    if (!(err instanceof DhcpDecodeError)) throw err
  }
}
