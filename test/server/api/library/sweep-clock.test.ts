import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSweepClock } from '#server/api/library/sweep-clock.ts'

const HOUR = 3_600_000
const START = Date.parse('2026-05-01T12:00:00Z')

function createClocks() {
  const at = { wall: START, steady: 0 }
  const clock = createSweepClock(
    () => at.wall,
    () => at.steady,
  )
  return {
    clock,
    now: () => new Date(at.wall),
    pass: (milliseconds: number) => {
      at.wall += milliseconds
      at.steady += milliseconds
    },
    set: (milliseconds: number) => void (at.wall += milliseconds),
  }
}

function touchedAt(moment: Date, holder = 'run:1') {
  return { id: '1', holder, startedAt: moment, touchedAt: moment }
}

describe('a sweep', () => {
  it('ends an upload that lay for a day, once it saw that for an hour', () => {
    const { clock, pass, now } = createClocks()
    const uploads = [touchedAt(now())]
    pass(25 * HOUR)
    assert.deepEqual(clock.over(uploads, now()), [])
    pass(HOUR)
    assert.deepEqual(clock.over(uploads, now()), uploads)
  })

  for (const [name, jump] of [
    ['forward', 25 * HOUR],
    ['ten years back', -87_600 * HOUR],
  ] as const)
    it(`ends no upload that is gone on with after the clock was set ${name}`, () => {
      const { clock, pass, set, now } = createClocks()
      const before = now()
      set(jump)
      assert.deepEqual(clock.over([touchedAt(before)], now()), [])
      const after = now()
      pass(2 * HOUR)
      assert.deepEqual(clock.over([touchedAt(after)], now()), [])
    })

  it('ends what was read by hand after an hour, seen for as long', () => {
    const { clock, pass, now } = createClocks()
    const reads = [touchedAt(now(), `read:${'0'.repeat(64)}:user:1`)]
    pass(HOUR)
    assert.deepEqual(clock.over(reads, now()), [])
    pass(HOUR)
    assert.deepEqual(clock.over(reads, now()), reads)
  })

  it('ends an upload of a server that died after ten minutes, seen for as long', () => {
    const { clock, pass, now } = createClocks()
    const uploads = [touchedAt(now(), 'upload:1')]
    pass(600_000)
    assert.deepEqual(clock.over(uploads, now()), [])
    pass(600_000)
    assert.deepEqual(clock.over(uploads, now()), uploads)
  })

  it('spares what was put since the clock was set back, until no upload is open', () => {
    const { clock, pass, set, now } = createClocks()
    set(-2 * HOUR)
    pass(1000)
    const put = now()
    pass(1000)
    assert.ok(clock.earliest(now()) < put)
    // Forward again: what was put in between is not newer for that.
    set(2 * HOUR)
    assert.ok(clock.earliest(new Date(START)) < put)
    clock.forget()
    assert.deepEqual(clock.earliest(now()), now())
  })

  it('takes what is read late, or rounded, for no clock that was set back', () => {
    const { clock, pass, set, now } = createClocks()
    for (let call = 0; call < 1000; call++) {
      set(call % 2 === 0 ? 0.9 : -0.9)
      pass(1)
      assert.deepEqual(clock.earliest(now()), now())
    }
  })

  it('is told once that the clock was set back, and never that it was set forward', () => {
    const { clock, set } = createClocks()
    set(HOUR)
    assert.equal(clock.wasSetBack(), false)
    set(-HOUR)
    assert.equal(clock.wasSetBack(), true)
    assert.equal(clock.wasSetBack(), false)
  })
})
