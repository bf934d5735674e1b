import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type FormRenewal, replacedBefore, withRenewal } from '#server/db/store/form-renewals.ts'

const BEGIN = Date.UTC(2026, 0, 1)
const at = (seconds: number) => new Date(BEGIN + seconds * 1000)

/** From its beginning for two seconds. */
const renewal = (seconds: number): FormRenewal => ({
  begunAt: at(seconds).toISOString(),
  doneAt: at(seconds + 2).toISOString(),
})
const renewed = (seconds: readonly number[]) =>
  seconds.map(renewal).reduce<FormRenewal[]>(withRenewal, [])

describe('what was replaced before an export began', () => {
  it('is known by the latest renewal that was done by then', () => {
    const renewals = renewed([0, 100, 200])
    assert.deepEqual(replacedBefore(renewals, at(150)), at(100))
    assert.deepEqual(replacedBefore(renewals, at(1000)), at(200))
  })

  it('is nothing that a renewal which still went on may have named', () => {
    assert.deepEqual(replacedBefore(renewed([0, 100]), at(101)), at(0))
    assert.equal(replacedBefore(renewed([100]), at(101)), undefined)
    assert.equal(replacedBefore([], at(0)), undefined)
  })
})

describe('renewals that are remembered', () => {
  it('are a minute from each other at least, and the latest', () => {
    const every = (step: number, count: number) => Array.from({ length: count }, (_, i) => i * step)
    const renewals = renewed(every(10, 20))
    const begun = renewals.map(({ begunAt }) => (Date.parse(begunAt) - BEGIN) / 1000)
    assert.equal(begun.at(-1), 190)
    assert.deepEqual(begun, [0, 60, 120, 180, 190])
  })

  it('reach back half an hour, however many there were', () => {
    const hour = Array.from({ length: 3600 / 5 }, (_, i) => i * 5)
    const renewals = renewed(hour)
    assert.equal(renewals.length, 32)
    const first = Date.parse(renewals[0]!.begunAt) - BEGIN
    assert.ok(first <= 1800 * 1000, `The first one is of ${first / 1000} s`)
    assert.deepEqual(renewals.at(-1), renewal(hour.at(-1)!))
  })
})
