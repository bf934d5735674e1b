import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { createSendLimit } from '#agent/pipeline/send-limit.ts'

/** A link on which each of those under way takes as long as all together need. */
function openLink(secondsOfOne: number) {
  let clock = 0
  const underWay: (() => void)[] = []
  const inTurn = createSendLimit(() => clock)
  return {
    send: (count: number) =>
      Promise.all(
        Array.from({ length: count }, () =>
          inTurn(() => new Promise<void>((resolve) => underWay.push(resolve))),
        ),
      ),
    /** Until all that are under way have arrived; returns how many those were. */
    async arrive() {
      await turn()
      const arrived = underWay.splice(0)
      clock += arrived.length * secondsOfOne * 1000
      for (const resolve of arrived) resolve()
      await turn()
      return arrived.length
    },
  }
}

describe('how many chunks are sent at once', () => {
  it('becomes one where each takes seconds, as on 1 Mbit/s', async () => {
    const link = openLink(8.4)
    const sent = link.send(10)
    const counts: number[] = []
    for (let left = 10; left > 0; left -= counts.at(-1)!) counts.push(await link.arrive())
    await sent
    assert.deepEqual(counts, [4, 2, 1, 1, 1, 1])
  })

  it('is soon as many as there are connections on a fast link, and no more', async () => {
    const link = openLink(0.01)
    const sent = link.send(200)
    const counts: number[] = []
    for (let left = 200; left > 0; left -= counts.at(-1)!) counts.push(await link.arrive())
    await sent
    assert.deepEqual(counts, [4, 8, 16, 32, 32, 32, 32, 32, 12])
  })

  it('goes on after one that failed', async () => {
    const inTurn = createSendLimit()
    const failing = Array.from({ length: 8 }, () =>
      inTurn(() => Promise.reject(new Error('refused'))),
    )
    for (const { status } of await Promise.allSettled(failing)) assert.equal(status, 'rejected')
    assert.equal(await inTurn(async () => 'sent'), 'sent')
  })
})
