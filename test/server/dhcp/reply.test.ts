import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeDhcp, type DhcpPacket, encodeDhcp } from '#protocol/dhcp/dhcp.ts'
import { findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { bootFields, bootFor, clientOf, NO_BOOT } from '#server/dhcp/boot-options.ts'
import type { Lease } from '#server/dhcp/lease-store.ts'
import { createAnswer, createNak, destinationOf, packetLimitBytes } from '#server/dhcp/reply.ts'
import {
  hexOption,
  MACHINE,
  NOW,
  packetFrom,
  type PacketParts,
  SETTINGS,
  TEN,
  textOption,
  US,
} from './packets.ts'

const LEASE: Lease = { mac: MACHINE, address: TEN, state: 'bound', expiresAt: NOW }
const GUID = Buffer.from('0011223344556677889900aabbccddeeff', 'hex')

/** What a DISCOVER gets, through the bytes and back. */
function offer(parts: PacketParts = {}): DhcpPacket {
  const packet = packetFrom('discover', parts)
  const client = clientOf(packet)
  const answer = bootFor(client, MACHINE, SETTINGS.boot)
  const boot =
    client.kind === 'known' && answer
      ? bootFields(packet, answer, client.firmware, 'server', SETTINGS)
      : NO_BOOT
  const reply = createAnswer(packet, 'offer', LEASE, boot, SETTINGS)
  return decodeDhcp(encodeDhcp(reply, packetLimitBytes(packet)))
}

describe('an answer in mode server', () => {
  it('gives address, network and times', () => {
    const reply = offer()
    assert.equal(findMessage(reply), 'offer')
    assert.partialDeepStrictEqual(reply, { op: 'reply', transactionId: 7, yiaddr: TEN })
    assert.deepEqual(reply.hardwareAddress, packetFrom('discover').hardwareAddress)
    const options = { 54: '0a000001', 1: 'ffffff00', 3: '0a0000fe', 6: '0a000035', 28: '0a0000ff' }
    for (const [code, hex] of Object.entries({
      ...options,
      51: '00000e10',
      58: '00000708',
      59: '00000c4e',
    }))
      assert.equal(hexOption(reply, Number(code)), hex, `option ${code}`)
  })

  it('says nothing about booting to a machine that does not boot from the network', () => {
    const reply = offer()
    assert.partialDeepStrictEqual(reply, { siaddr: '0.0.0.0', bootFileName: '', serverName: '' })
    for (const code of [43, 60, 66, 67, 175]) assert.equal(hexOption(reply, code), undefined)
  })

  for (const [what, architecture, file] of [
    ['BIOS', 0, 'undionly.kpxe'],
    ['UEFI', 7, 'snponly.efi'],
    ['UEFI that says EBC', 9, 'snponly.efi'],
  ] as const)
    it(`names ${file} to ${what}, by TFTP, with the PXE options that it needs`, () => {
      const reply = offer({ architecture, options: [[97, GUID]] })
      assert.partialDeepStrictEqual(reply, { siaddr: US, serverName: US, bootFileName: file })
      assert.equal(textOption(reply, 60), 'PXEClient')
      assert.equal(hexOption(reply, 43), '060108ff')
      assert.equal(hexOption(reply, 97), GUID.toString('hex'))
    })

  it('gives UEFI HTTP boot a URL', () => {
    const reply = offer({ architecture: 16 })
    assert.equal(textOption(reply, 60), 'HTTPClient')
    assert.equal(reply.bootFileName, 'http://10.0.0.1:8080/boot/files/snponly.efi')
    assert.equal(hexOption(reply, 43), undefined)
  })

  it('gives iPXE its script, and tells it not to wait for a proxy', () => {
    for (const userClass of ['iPXE', '\x04iPXE']) {
      const reply = offer({ architecture: 7, userClass })
      assert.equal(reply.bootFileName, 'http://10.0.0.1:8080/boot/52-54-00-12-34-56.ipxe')
      assert.equal(hexOption(reply, 175), 'b00101ff')
    }
  })

  it('says nothing about booting where there is no file for the architecture', () => {
    for (const architecture of [6, 11, 99]) {
      const reply = offer({ architecture })
      assert.partialDeepStrictEqual(reply, { yiaddr: TEN, siaddr: '0.0.0.0', bootFileName: '' })
      assert.equal(hexOption(reply, 43), undefined)
    }
  })

  it('repeats names as options for who asks for these, and when a URL is too long', () => {
    const asking = offer({ architecture: 0, options: [[55, Uint8Array.of(1, 66, 67)]] })
    assert.deepEqual([textOption(asking, 66), textOption(asking, 67)], [US, 'undionly.kpxe'])
    const serverUrl = `http://${'very-'.repeat(40)}long.example:8080`
    const packet = packetFrom('discover', { userClass: 'iPXE' })
    const boot = { ...SETTINGS.boot, serverUrl }
    const answer = bootFor(clientOf(packet), MACHINE, boot)!
    const fields = bootFields(packet, answer, 'ipxe', 'server', { address: US, boot })
    assert.equal(fields.bootFileName, '')
    assert.match(Buffer.from(fields.options.get(67)!).toString(), /52-54-00-12-34-56\.ipxe$/)
  })

  it('leaves a name out rather than what the machine boots from', () => {
    const packet = packetFrom('discover', { options: [[61, Buffer.alloc(200)]] })
    const options = new Map([[43, Buffer.alloc(9)]])
    const boot = { ...NO_BOOT, bootFileName: 'a', serverName: 'b', options }
    const answer = createAnswer(packet, 'offer', LEASE, boot, SETTINGS, 'n'.repeat(63))
    assert.equal(textOption(answer, 12), 'n'.repeat(63))
    const sent = decodeDhcp(encodeDhcp(answer))
    assert.equal(hexOption(sent, 12), undefined)
    assert.equal(hexOption(sent, 43), '00'.repeat(9))
  })

  it('gives back the client’s identifier and, last, the relay’s information', () => {
    const relay = Buffer.from('010401020304', 'hex')
    const reply = offer({
      giaddr: parseIpv4('10.0.0.200'),
      options: [
        [82, relay],
        [61, Uint8Array.of(1, 2, 3)],
      ],
    })
    assert.equal(hexOption(reply, 61), '010203')
    assert.equal(hexOption(reply, 82), relay.toString('hex'))
    assert.equal([...reply.options.keys()].at(-1), 82)
    assert.equal(reply.giaddr, '10.0.0.200')
  })

  it('keeps to the size that the client takes', () => {
    const limit = (size: number) =>
      packetLimitBytes(
        packetFrom('discover', { options: [[57, Uint8Array.of(size >> 8, size & 255)]] }),
      )
    assert.equal(packetLimitBytes(packetFrom('discover')), 548)
    assert.equal(limit(100), 548)
    assert.equal(limit(1260), 1232)
    assert.equal(limit(65535), 1472)
  })

  it('gives an INFORM neither address nor times', () => {
    const packet = packetFrom('inform', { ciaddr: TEN })
    const reply = createAnswer(packet, 'ack', undefined, NO_BOOT, SETTINGS)
    assert.partialDeepStrictEqual(reply, { ciaddr: TEN, yiaddr: '0.0.0.0' })
    assert.deepEqual(
      [51, 58, 59].map((code) => hexOption(reply, code)),
      [undefined, undefined, undefined],
    )
    assert.equal(hexOption(reply, 1), 'ffffff00')
  })
})

describe('the way of an answer', () => {
  const to = (parts: PacketParts, nak = false) => {
    const packet = packetFrom('request', parts)
    return destinationOf(
      nak ? createNak(packet, 'No', US) : createAnswer(packet, 'ack', LEASE, NO_BOOT, SETTINGS),
    )
  }

  it('is the broadcast for a machine without an address, whatever its flag says', () => {
    for (const broadcast of [true, false])
      assert.deepEqual(to({ broadcast }), { address: '255.255.255.255', port: 68 })
  })

  it('is the machine itself when it has an address', () => {
    assert.deepEqual(to({ ciaddr: TEN }), { address: TEN, port: 68 })
  })

  it('is the relay, which must broadcast a NAK', () => {
    const giaddr = parseIpv4('10.0.0.200')
    assert.deepEqual(to({ giaddr, ciaddr: TEN }), { address: giaddr, port: 67 })
    assert.deepEqual(to({ giaddr }, true), { address: giaddr, port: 67 })
    assert.equal(createNak(packetFrom('request', { giaddr }), 'No', US).broadcast, true)
  })

  it('is the broadcast for a NAK, since the address is wrong', () => {
    assert.deepEqual(to({ ciaddr: TEN }, true), { address: '255.255.255.255', port: 68 })
  })
})
