import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createThrottle } from '#server/dhcp/throttle.ts'

const at = (seconds: number) => new Date(1e12 + seconds * 1000)

describe('createThrottle', () => {
  it('lets each key pass once in a window', () => {
    const mayPass = createThrottle({ windowSeconds: 10, keys: 5 })
    const passed = [0, 1, 9, 10, 11, 30].map((second) => mayPass('a', at(second)))
    assert.deepEqual(passed, [true, false, false, true, false, true])
    assert.ok(mayPass('b', at(31)))
  })

  it('lets so many keys pass and no more', () => {
    const mayPass = createThrottle({ windowSeconds: 10, keys: 2 })
    const passed = ['a', 'b', 'c', 'd'].map((key) => mayPass(key, at(0)))
    assert.deepEqual(passed, [true, true, false, false])
    assert.ok(mayPass('c', at(10)))
  })

  it('goes on when the clock is set back', () => {
    const mayPass = createThrottle({ windowSeconds: 10, keys: 5 })
    const passed = [0, -7200, -7199, -7190].map((second) => mayPass('a', at(second)))
    assert.deepEqual(passed, [true, true, false, true])
  })
})
