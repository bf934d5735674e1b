import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooseBackEnd, type NetworkFacts } from '#agent/system/network/back-end.ts'

const NOTHING: NetworkFacts = {
  hasNetplan: false,
  networkdEnabled: false,
  hasNetworkdFiles: false,
  networkManagerEnabled: false,
  hasIfupdown: false,
  ifupdownInterfaces: [],
}

describe('who configures the network', () => {
  const cases: [name: string, facts: Partial<NetworkFacts>, expected: string | undefined][] = [
    [
      'Ubuntu: netplan before what it drives',
      { hasNetplan: true, networkdEnabled: true },
      'netplan',
    ],
    ['networkd with files', { networkdEnabled: true, hasNetworkdFiles: true }, 'networkd'],
    [
      'a Debian server: networkd is installed but off',
      { hasIfupdown: true, ifupdownInterfaces: ['eth0'], hasNetworkdFiles: true },
      'ifupdown',
    ],
    [
      'a Debian desktop: ifupdown has the loopback only',
      { hasIfupdown: true, networkManagerEnabled: true },
      'network-manager',
    ],
    [
      'NetworkManager leaves to ifupdown what it configures',
      { hasIfupdown: true, networkManagerEnabled: true, ifupdownInterfaces: ['eth0'] },
      'ifupdown',
    ],
    ['networkd without files yet', { networkdEnabled: true }, 'networkd'],
    ['ifupdown without interfaces yet', { hasIfupdown: true }, 'ifupdown'],
    ['nobody', {}, undefined],
  ]
  for (const [name, facts, expected] of cases)
    it(name, () => assert.equal(chooseBackEnd({ ...NOTHING, ...facts }), expected))
})
