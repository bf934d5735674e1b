import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'

/** What was done under a lock, in order; each work ends when it is let go. */
function openLock() {
  const lock = createCommitLock()
  const done: string[] = []
  const start = (how: 'shared' | 'exclusive', name: string) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const ended = lock[how](async () => {
      done.push(`${name} begins`)
      await promise
      done.push(`${name} ends`)
    })
    return { ended, letGo: resolve }
  }
  return { lock, done, start }
}

describe('the commit lock', () => {
  it('lets commits go on side by side, and a sweep begin when the last of them ended', async () => {
    const { done, start } = openLock()
    const commits = [start('shared', 'one'), start('shared', 'two')] as const
    await turn()
    const sweep = start('exclusive', 'sweep')
    commits[0].letGo()
    await commits[0].ended
    await turn()
    assert.deepEqual(done, ['one begins', 'two begins', 'one ends'])
    commits[1].letGo()
    sweep.letGo()
    await sweep.ended
    assert.deepEqual(done.slice(3), ['two ends', 'sweep begins', 'sweep ends'])
  })

  it('keeps a commit waiting while any sweep goes on', async () => {
    const { done, start } = openLock()
    const sweeps = [start('exclusive', 'one'), start('exclusive', 'two')] as const
    await turn()
    const commit = start('shared', 'commit')
    commit.letGo()
    sweeps[0].letGo()
    await sweeps[0].ended
    const late = start('exclusive', 'late')
    late.letGo()
    await turn()
    assert.deepEqual(done, ['one begins', 'one ends', 'two begins'])
    sweeps[1].letGo()
    await Promise.all([commit.ended, late.ended])
    assert.equal(done[3], 'two ends')
    for (const name of ['commit', 'late'])
      assert.equal(done[done.indexOf(`${name} begins`) + 1], `${name} ends`)
  })

  it('is free again after work that failed', async () => {
    const { lock } = openLock()
    const fail = () => Promise.reject(new Error('The disk is full'))
    await assert.rejects(lock.shared(fail), /full/)
    await assert.rejects(lock.exclusive(fail), /full/)
    assert.equal(await lock.exclusive(async () => 'swept'), 'swept')
    assert.equal(await lock.shared(async () => 'made'), 'made')
  })
})
