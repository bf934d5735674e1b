import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { renameInHosts, type NameChange } from '#agent/system/identity/hosts-file.ts'

describe('the name in /etc/hosts', () => {
  const cases: Record<string, [change: NameChange, before: string, after: string]> = {
    'replaces that of a Debian': [
      { hostname: 'node7', previous: 'golden' },
      '127.0.0.1\tlocalhost\n127.0.1.1\tgolden\n\n::1 localhost ip6-localhost\n',
      '127.0.0.1\tlocalhost\n127.0.1.1\tnode7\n\n::1 localhost ip6-localhost\n',
    ],
    'keeps the domain of the image': [
      { hostname: 'node7', previous: 'golden' },
      '127.0.0.1 localhost\n127.0.1.1 golden.example.org golden\n',
      '127.0.0.1 localhost\n127.0.1.1\tnode7.example.org node7\n',
    ],
    'brings a domain of its own': [
      { hostname: 'node7.test', previous: 'golden' },
      '127.0.1.1 golden.example.org golden api # mine\n',
      '127.0.1.1\tnode7.test node7 api # mine\n',
    ],
    'is added where the image has none': [
      { hostname: 'node7' },
      '# hosts\n127.0.0.1 localhost\n::1 localhost\n',
      '# hosts\n127.0.0.1 localhost\n127.0.1.1\tnode7\n::1 localhost\n',
    ],
    'replaces an old one beside localhost, but not that of another address': [
      { hostname: 'node7', previous: 'golden' },
      '127.0.0.1 localhost golden\n192.0.2.5 golden\n192.0.2.6 golden2\n',
      '127.0.0.1\tlocalhost node7\n127.0.1.1\tnode7\n192.0.2.5 golden\n192.0.2.6 golden2\n',
    ],
    'does not multiply when set again': [
      { hostname: 'node7', previous: 'node7' },
      '127.0.0.1 localhost\n127.0.1.1\tnode7\n',
      '127.0.0.1 localhost\n127.0.1.1\tnode7\n',
    ],
  }
  for (const [name, [change, before, after]] of Object.entries(cases))
    it(name, () => assert.equal(renameInHosts(before, change), after))
})
