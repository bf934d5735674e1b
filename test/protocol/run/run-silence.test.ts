import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeSilence, silenceOf, type HeardRun } from '#protocol/run/run-silence.ts'

const T0 = Date.parse('2026-05-01T12:00:00.000Z')
const after = (seconds: number) => new Date(T0 + seconds * 1000)
const RUN: HeardRun = {
  state: 'running',
  claimedBy: 'agent',
  lastReportAt: after(0).toISOString(),
  timesOutAt: after(600).toISOString(),
}
const formatTime = (time: Date) => time.toISOString().slice(11, 19)

describe('a run that says nothing', () => {
  it('is silent after 25 s, which a beat every 10 s never leaves', () => {
    assert.equal(silenceOf(RUN, after(24)), undefined)
    assert.partialDeepStrictEqual(silenceOf(RUN, after(25)), { seconds: 25, since: after(0) })
  })

  it('says how long it was, what that may be, and when it fails', () => {
    assert.equal(
      describeSilence(silenceOf(RUN, after(25))!, formatTime),
      'No report for 25 s; the agent waits for the server or is gone; unless it comes back, it fails at 12:10:00',
    )
    assert.match(describeSilence(silenceOf(RUN, after(301))!, formatTime), /for 5 min;/)
    assert.match(describeSilence(silenceOf(RUN, after(700))!, formatTime), /about to fail/)
  })

  it('is none where no agent works on it', () => {
    for (const changes of [
      { state: 'queued', timesOutAt: null },
      { state: 'succeeded', timesOutAt: null },
      { state: 'booting' },
      { claimedBy: 'booty' },
    ] as const)
      assert.equal(silenceOf({ ...RUN, ...changes }, after(300)), undefined)
  })
})
