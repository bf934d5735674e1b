import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteHandover } from '#server/images/import/byte-handover.ts'

const BYTES = Buffer.from('some bytes')

/** Settles as soon as it can, if at all. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('handing bytes over', () => {
  it('gives them when they are asked for, and counts what was taken', async () => {
    const feed = new ByteHandover()
    const reader = feed[Symbol.asyncIterator]()
    let isGiven = false
    const given = feed.give(BYTES).then(() => (isGiven = true))
    await turn()
    assert.equal(isGiven, false)
    assert.equal(feed.takenBytes, 0)
    assert.deepEqual(await reader.next(), { value: BYTES, done: false })
    await given
    assert.equal(feed.takenBytes, BYTES.length)

    const next = reader.next()
    await feed.give(BYTES)
    assert.equal(feed.takenBytes, 2 * BYTES.length)
    assert.deepEqual(await next, { value: BYTES, done: false })
    feed.end()
    assert.deepEqual(await reader.next(), { value: undefined, done: true })
  })

  it('takes back what was not taken: it does not count, and the next piece is another', async () => {
    const feed = new ByteHandover()
    const reader = feed[Symbol.asyncIterator]()
    const given = assert.rejects(feed.give(BYTES), /gone/)
    feed.withdraw(new Error('gone'))
    await given
    const next = reader.next()
    const other = Buffer.from('other bytes')
    await feed.give(other)
    assert.deepEqual((await next).value, other)
    assert.equal(feed.takenBytes, other.length)
  })

  it('is idle only when the reader made use of all and wants more', async () => {
    const feed = new ByteHandover()
    const reader = feed[Symbol.asyncIterator]()
    const first = reader.next()
    await feed.give(BYTES)
    await first
    let isIdle = false
    const idle = feed.idle().then(() => (isIdle = true))
    await turn()
    assert.equal(isIdle, false)
    void reader.next()
    await idle
  })

  it('wakes whoever waits when the reader goes away, or is made to fail', async () => {
    const left = new ByteHandover()
    const given = left.give(BYTES)
    const idle = left.idle()
    await left[Symbol.asyncIterator]().return?.()
    await Promise.all([given, idle, left.give(BYTES), left.idle()])
    assert.deepEqual([left.isClosed, left.takenBytes], [true, 0])

    const failed = new ByteHandover()
    const reader = failed[Symbol.asyncIterator]()
    const waiting = assert.rejects(reader.next(), /cut short/)
    failed.fail(new Error('cut short'))
    await waiting
    await assert.rejects(reader.next(), /cut short/)
    await failed.give(BYTES)
    assert.equal(failed.takenBytes, 0)
  })
})
