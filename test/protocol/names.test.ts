import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hostnameFrom } from '#protocol/names.ts'

describe('the host name of a machine that has only a name', () => {
  for (const [name, hostname] of [
    ['rack3-node7', 'rack3-node7'],
    ['node7.lab.example', 'node7.lab.example'],
    ['Rack 3, node 7', 'Rack-3-node-7'],
    ['(spare)', 'spare'],
    ['*', undefined],
  ] as const)
    it(`of "${name}" is ${hostname ?? 'none'}`, () => assert.equal(hostnameFrom(name), hostname))
})
