import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findInheritedSocket } from '#server/dhcp/inherited-sockets.ts'

describe('findInheritedSocket', () => {
  const env = { LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'dhcp:boot-server:other' }

  it('finds sockets by the names in the unit', () => {
    assert.equal(findInheritedSocket(env, 42, 'dhcp'), 3)
    assert.equal(findInheritedSocket(env, 42, 'boot-server'), 4)
  })

  it('finds nothing beyond the count, under other names, or meant for another process', () => {
    assert.equal(findInheritedSocket(env, 42, 'other'), undefined)
    assert.equal(findInheritedSocket(env, 42, 'http'), undefined)
    assert.equal(findInheritedSocket(env, 43, 'dhcp'), undefined)
    assert.equal(findInheritedSocket({}, 42, 'dhcp'), undefined)
  })
})
