import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSharedCalls } from '#server/api/http/shared-calls.ts'

describe('shared calls', () => {
  it('are made once for those who ask at the same time, and anew for who asks later', async () => {
    const share = createSharedCalls<number>()
    let count = 0
    const call = async () => ++count
    assert.deepEqual(
      await Promise.all([share('a', call), share('a', call), share('b', call)]),
      [1, 1, 2],
    )
    assert.equal(await share('a', call), 3)
  })

  it('fail for all who asked, and are tried anew', async () => {
    const share = createSharedCalls<number>()
    const fail = () => Promise.reject(new Error('No answer'))
    const asked = await Promise.allSettled([share('a', fail), share('a', fail)])
    assert.deepEqual(
      asked.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(await share('a', async () => 1), 1)
  })
})
