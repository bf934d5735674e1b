import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  capturedMac,
  findMacs,
  MAC_FORMATS,
  planMacChange,
  replaceMac,
} from '#agent/system/identity/mac-matches.ts'
import { parseMac } from '#protocol/mac.ts'

const OLD = parseMac('52:54:00:5a:00:0a')
const NEW = parseMac('52:54:00:12:34:56')
const OTHER = parseMac('52:54:00:5a:00:0b')

function formatOf(folder: string) {
  const format = MAC_FORMATS.find((candidate) => candidate.folder === folder)
  assert(format)
  return format
}

describe('MAC addresses in network settings', () => {
  const cases: Record<string, [folder: string, before: string, after: string]> = {
    netplan: [
      '/etc/netplan',
      `network:
  ethernets:
    lan:
      match: # of ${OLD}
        macaddress: "52:54:00:5A:00:0A"
      set-name: lan
`,
      `network:
  ethernets:
    lan:
      match: # of ${OLD}
        macaddress: "${NEW}"
      set-name: lan
`,
    ],
    networkd: [
      '/etc/systemd/network',
      `[Match]\nPermanentMACAddress=52-54-00-5a-00-0a ${OTHER}\n# MACAddress=${OLD}\n`,
      `[Match]\nPermanentMACAddress=${NEW} ${OTHER}\n# MACAddress=${OLD}\n`,
    ],
    NetworkManager: [
      '/etc/NetworkManager/system-connections',
      `[ethernet]\nmac-address=52:54:00:5A:00:0A\ncloned-mac-address=${OLD}\nmac-address-blacklist=${OLD}\n`,
      `[ethernet]\nmac-address=${NEW}\ncloned-mac-address=${NEW}\nmac-address-blacklist=${OLD}\n`,
    ],
    ifupdown: [
      '/etc/network',
      `auto mac/${OLD}=lan\niface lan inet dhcp\n    hwaddress ether ${OLD}\n    up echo ${OLD}\n`,
      `auto mac/${NEW}=lan\niface lan inet dhcp\n    hwaddress ether ${NEW}\n    up echo ${OLD}\n`,
    ],
    ifcfg: [
      '/etc/sysconfig/network-scripts',
      'DEVICE=eth0\nHWADDR="52:54:00:5A:00:0A"\n',
      `DEVICE=eth0\nHWADDR="${NEW}"\n`,
    ],
  }
  for (const [name, [folder, before, after]] of Object.entries(cases))
    it(`are found and replaced in ${name} files, comments and all else kept`, () => {
      const format = formatOf(folder)
      assert(findMacs(before, format).includes(OLD))
      assert.equal(replaceMac(before, format, { from: OLD, to: NEW }), after)
    })

  it('are not seen in longer addresses', () => {
    const text = `macaddress: 80:00:00:48:${OLD}`
    assert.deepEqual(findMacs(text, formatOf('/etc/netplan')), [])
  })
})

describe('the change of MAC addresses', () => {
  const facts = { boot: NEW, own: [NEW] }

  it('takes the only one that is named', () => {
    assert.deepEqual(planMacChange({ ...facts, named: [OLD] }), { from: OLD, unclear: [] })
  })

  it('takes none of two, but that of the captured machine where it is known', () => {
    const named = [OLD, OTHER]
    assert.deepEqual(planMacChange({ ...facts, named }), { unclear: named })
    const captured = OLD
    assert.deepEqual(planMacChange({ ...facts, named, captured }), { from: OLD, unclear: [OTHER] })
  })

  it('leaves cards of this machine as they are', () => {
    assert.deepEqual(planMacChange({ ...facts, named: [NEW] }), { unclear: [] })
    assert.deepEqual(planMacChange({ ...facts, own: [NEW, OTHER], named: [OTHER] }), {
      unclear: [],
    })
  })

  it('does not give one card two settings', () => {
    assert.deepEqual(planMacChange({ ...facts, named: [NEW, OLD] }), { unclear: [OLD] })
  })

  it('knows the captured machine from what the image tells of its source', () => {
    assert.equal(capturedMac('capture of 52:54:00:5a:00:0a'), OLD)
    assert.equal(capturedMac('upload of debian.qcow2'), undefined)
  })
})
