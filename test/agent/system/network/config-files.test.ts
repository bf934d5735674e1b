import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { netplanFile } from '#agent/system/network/netplan.ts'
import { networkManagerFile } from '#agent/system/network/network-manager.ts'
import { networkdFile } from '#agent/system/network/networkd.ts'
import { setNameservers } from '#agent/system/network/resolver.ts'
import type { ConfigFile, StaticNetwork } from '#agent/system/network/static-network.ts'
import { parseMac } from '#protocol/mac.ts'

const FULL: StaticNetwork = {
  mac: parseMac('52:54:00:12:34:56'),
  address: '192.0.2.10/24',
  gateway: '192.0.2.1',
  nameservers: ['192.0.2.53', '192.0.2.54'],
}
const BARE: StaticNetwork = { mac: FULL.mac, address: FULL.address, nameservers: [] }

function settings({ text }: ConfigFile): string {
  return text.replace(/^#.*\n/, '')
}

describe('files of a static network', () => {
  it('are YAML for netplan', () => {
    assert.equal(
      settings(netplanFile(FULL)),
      `network:
  version: 2
  ethernets:
    00-stampede:
      match:
        macaddress: "52:54:00:12:34:56"
      dhcp4: false
      addresses: ["192.0.2.10/24"]
      routes:
        - to: 0.0.0.0/0
          via: 192.0.2.1
      nameservers:
        addresses: [192.0.2.53, 192.0.2.54]
`,
    )
    assert.doesNotMatch(netplanFile(BARE).text, /routes|nameservers|undefined/)
  })

  it('are a unit for networkd', () => {
    assert.equal(
      settings(networkdFile(FULL)),
      `[Match]
MACAddress=52:54:00:12:34:56
Type=ether

[Network]
Address=192.0.2.10/24
Gateway=192.0.2.1
DNS=192.0.2.53
DNS=192.0.2.54
`,
    )
    assert.doesNotMatch(networkdFile(BARE).text, /Gateway|DNS|undefined/)
  })

  it('are a profile that only root may read for NetworkManager', () => {
    const file = networkManagerFile(FULL, '0c0c0c0c-1a1a-4a1a-8a1a-0c0c0c0c0c0c')
    assert.equal(file.mode, 0o600)
    assert.match(file.text, /^mac-address=52:54:00:12:34:56$/m)
    assert.match(file.text, /^address1=192\.0\.2\.10\/24,192\.0\.2\.1$/m)
    assert.match(file.text, /^dns=192\.0\.2\.53;192\.0\.2\.54;$/m)
    assert.match(networkManagerFile(BARE, 'x').text, /^address1=192\.0\.2\.10\/24$/m)
  })

  it('replace the name servers of resolv.conf and keep the rest', () => {
    const before = '# mine\nsearch test\nnameserver 203.0.113.1\noptions edns0\n'
    const after = '# mine\nsearch test\noptions edns0\nnameserver 192.0.2.53\n'
    assert.equal(setNameservers(before, ['192.0.2.53']), after)
    assert.equal(setNameservers('', ['192.0.2.53']), 'nameserver 192.0.2.53\n')
  })
})
