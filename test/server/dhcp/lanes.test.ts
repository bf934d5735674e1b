import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createLanes } from '#server/dhcp/lanes.ts'

describe('createLanes', () => {
  it('runs what has one key in order, and other keys beside it', async () => {
    const run = createLanes<string>({ lanes: 2, perLane: 2 })
    const log: string[] = []
    const gate = Promise.withResolvers<void>()
    const first = run('a', async () => {
      await gate.promise
      log.push('a1')
    })
    const second = run('a', async () => log.push('a2'))
    await run('b', async () => log.push('b'))
    gate.resolve()
    await Promise.all([first, second])
    assert.deepEqual(log, ['b', 'a1', 'a2'])
  })

  it('does not run what is too much, until there is room again', async () => {
    const run = createLanes<string>({ lanes: 1, perLane: 1 })
    const gate = Promise.withResolvers<void>()
    const first = run('a', () => gate.promise)
    assert.equal(await run('a', async () => 1), undefined)
    assert.equal(await run('b', async () => 1), undefined)
    gate.resolve()
    await first
    assert.equal(await run('b', async () => 1), 1)
  })

  it('goes on after a failure', async () => {
    const run = createLanes<string>({ lanes: 1, perLane: 2 })
    const failed = run('a', () => Promise.reject(new Error('No')))
    const next = run('a', async () => 1)
    await assert.rejects(failed)
    assert.equal(await next, 1)
  })
})
