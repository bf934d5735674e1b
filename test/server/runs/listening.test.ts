import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createListening } from '#server/runs/listening.ts'

const START = Date.parse('2026-11-22T12:00:00Z')
const LOOK_SECONDS = 5
const DAY_SECONDS = 86_400

describe('since when a run is silent', () => {
  /** A server that looks every five seconds; the other one hears the run until then, by a clock of its own. */
  function lookOn(aheadSeconds: number, { heardUntil, until }: Record<string, number>) {
    let seconds = 0
    const clock = () => new Date(START + seconds * 1000)
    const look = createListening(clock, () => seconds * 1000)
    const silences: number[] = []
    for (; seconds <= until!; seconds += LOOK_SECONDS) {
      const heard = Math.min(seconds, heardUntil!) + aheadSeconds
      const { now, since } = look()
      silences.push((now.getTime() - since('run', new Date(START + heard * 1000)).getTime()) / 1000)
    }
    return silences
  }

  for (const aheadSeconds of [0, 900, -900, DAY_SECONDS, -DAY_SECONDS])
    it(`is seen by a server beside one whose clock is ${aheadSeconds} s ahead`, () => {
      const during = lookOn(aheadSeconds, { heardUntil: 3600, until: 3600 })
      assert.ok(Math.max(...during) <= LOOK_SECONDS)
      const after = lookOn(aheadSeconds, { heardUntil: 3600, until: 4200 })
      assert.equal(after.at(-1), 600 + LOOK_SECONDS)
    })

  it('is forgotten with a run that is over', () => {
    let seconds = 0
    const look = createListening(
      () => new Date(START + seconds * 1000),
      () => seconds * 1000,
    )
    const heardAt = new Date(START)
    look().since('run', heardAt)
    seconds = 5
    look()
    seconds = 10
    assert.deepEqual(look().since('run', heardAt), new Date(START + 5000))
  })
})
