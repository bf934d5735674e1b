import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { proxyAnswer } from '#server/dhcp/proxy.ts'
import { hexOption, packetFrom, SETTINGS, TEN, textOption, US } from './packets.ts'

const GUID = Buffer.from('0011223344556677889900aabbccddeeff', 'hex')

describe('proxy mode on the DHCP port', () => {
  it('offers a BIOS its file and never an address, a time or a network', () => {
    const packet = packetFrom('discover', { architecture: 0, options: [[97, GUID]] })
    const reply = proxyAnswer(packet, 'dhcp', SETTINGS)!
    assert.equal(findMessage(reply), 'offer')
    assert.partialDeepStrictEqual(reply, {
      yiaddr: '0.0.0.0',
      siaddr: US,
      bootFileName: 'undionly.kpxe',
    })
    assert.equal(textOption(reply, 60), 'PXEClient')
    assert.equal(hexOption(reply, 43), '060108ff')
    assert.equal(hexOption(reply, 97), GUID.toString('hex'))
    for (const code of [1, 3, 6, 51, 58, 59]) assert.equal(hexOption(reply, code), undefined)
  })

  it('sends UEFI to the boot server port by leaving option 43 out', () => {
    const reply = proxyAnswer(packetFrom('discover', { architecture: 7 }), 'dhcp', SETTINGS)
    assert.equal(reply?.bootFileName, 'snponly.efi')
    assert.equal(textOption(reply, 60), 'PXEClient')
    assert.equal(hexOption(reply, 43), undefined)
  })

  it('offers iPXE its script', () => {
    const packet = packetFrom('discover', { architecture: 0, userClass: 'iPXE' })
    const reply = proxyAnswer(packet, 'dhcp', SETTINGS)
    assert.equal(reply?.bootFileName, 'http://10.0.0.1:8080/boot/52-54-00-12-34-56.ipxe')
    assert.equal(hexOption(reply, 175), undefined)
  })

  it('offers UEFI HTTP boot its URL', () => {
    const reply = proxyAnswer(packetFrom('discover', { architecture: 16 }), 'dhcp', SETTINGS)
    assert.equal(reply?.bootFileName, 'http://10.0.0.1:8080/boot/files/snponly.efi')
    assert.equal(textOption(reply, 60), 'HTTPClient')
  })

  it('leaves everything else to the other server', () => {
    for (const packet of [
      packetFrom('discover'),
      packetFrom('discover', { architecture: 11 }),
      packetFrom('discover', { architecture: 0, op: 'reply' }),
      packetFrom('request', { architecture: 0, requested: TEN }),
      packetFrom('inform', { architecture: 0, ciaddr: TEN }),
      packetFrom('release', { architecture: 0, ciaddr: TEN }),
    ])
      assert.equal(proxyAnswer(packet, 'dhcp', SETTINGS), undefined)
  })
})

describe('proxy mode on the boot server port', () => {
  it('acknowledges a request with the file', () => {
    for (const [architecture, file] of [
      [0, 'undionly.kpxe'],
      [7, 'snponly.efi'],
    ] as const) {
      const packet = packetFrom('request', { architecture, ciaddr: TEN })
      const reply = proxyAnswer(packet, 'boot-server', SETTINGS)!
      assert.equal(findMessage(reply), 'ack')
      assert.partialDeepStrictEqual(reply, { yiaddr: '0.0.0.0', siaddr: US, bootFileName: file })
    }
  })

  it('gives back the boot menu’s item that the client chose', () => {
    const options: [number, Uint8Array][] = [[43, Uint8Array.of(71, 4, 0x80, 0, 0, 0, 255)]]
    const packet = packetFrom('request', { architecture: 0, ciaddr: TEN, options })
    assert.equal(
      hexOption(proxyAnswer(packet, 'boot-server', SETTINGS), 43),
      '060108470480000000ff',
    )
  })

  it('does not mind an option 43 that is not PXE’s', () => {
    const options: [number, Uint8Array][] = [[43, Buffer.from('not of PXE')]]
    const packet = packetFrom('request', { architecture: 0, ciaddr: TEN, options })
    assert.equal(hexOption(proxyAnswer(packet, 'boot-server', SETTINGS), 43), '060108ff')
  })

  it('answers nobody else', () => {
    for (const packet of [
      packetFrom('request', { ciaddr: TEN }),
      packetFrom('release', { architecture: 0 }),
    ])
      assert.equal(proxyAnswer(packet, 'boot-server', SETTINGS), undefined)
  })
})
