import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  configuredInterfaces,
  disableInterface,
  knowsPatterns,
} from '#agent/system/network/ifupdown.ts'

describe('an interface of ifupdown', () => {
  it('is disabled with its stanza and where it is selected, and nothing else is', () => {
    const before = `# The loopback
auto lo eth0
iface lo inet loopback

allow-hotplug eth0
iface eth0 inet dhcp
    # with a comment
    up echo hello

iface eth0 inet6 auto

iface eth01 inet manual
    up echo eth0
`
    const after = `# The loopback
auto lo
iface lo inet loopback

#allow-hotplug eth0
#iface eth0 inet dhcp
    # with a comment
#    up echo hello

#iface eth0 inet6 auto

iface eth01 inet manual
    up echo eth0
`
    assert.equal(disableInterface(before, 'eth0'), after)
    assert.equal(disableInterface(after, 'eth0'), after)
  })

  it('counts once, and the loopback does not', () => {
    const text = 'iface lo inet loopback\niface eth0 inet dhcp\niface eth0 inet6 auto\n'
    assert.deepEqual(configuredInterfaces(text), ['eth0'])
  })
})

describe('the version of ifup', () => {
  const cases: [text: string, expected: boolean][] = [
    ['ifup version 0.8.41\n\nCopyright (c) 1999-2009 Anthony Towns\n', true],
    ['ifup version 0.8.20', true],
    ['ifup version 0.8.19', false],
    ['ifup version 0.7.54', false],
    ['ifup version 1.0.0', true],
    ['ifupdown-ng 0.12.1', false],
    ['', false],
  ]
  for (const [text, expected] of cases)
    it(`"${text.split('\n')[0]}" ${expected ? 'knows' : 'does not know'} patterns`, () =>
      assert.equal(knowsPatterns(text), expected))
})
