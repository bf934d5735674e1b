import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Report } from '#protocol/run/agent.ts'
import { FINAL_RUN_STATES } from '#protocol/run/run.ts'
import { MAX_ATTEMPTS } from '#protocol/run/run-silence.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import * as rules from '#server/runs/rules.ts'

const T0 = new Date('2026-05-01T12:00:00Z')
/** Of the server, which heard all since. */
const START = new Date('2026-05-01T00:00:00Z')
const after = (seconds: number) => new Date(T0.getTime() + seconds * 1000)

function createRun(changes: Partial<rules.RunRecord> = {}): rules.RunRecord {
  return {
    workflow: 'deploy',
    imageDigest: null,
    state: 'queued',
    attempts: 0,
    steps: [rules.createStep('write-image'), rules.createStep('grow-root')],
    expected: null,
    claimedBy: null,
    cancelRequested: false,
    error: null,
    receipt: null,
    lastSequence: -1,
    bootedAt: null,
    startedAt: null,
    attemptAt: null,
    lastReportAt: null,
    finishedAt: null,
    ...changes,
  }
}

const running = (changes: Partial<rules.RunRecord> = {}) =>
  createRun({
    state: 'running',
    attempts: 1,
    claimedBy: 'agent',
    attemptAt: T0,
    startedAt: T0,
    ...changes,
  })

function createReport(changes: Partial<Report> = {}): Report {
  return {
    attempt: 1,
    sequence: 0,
    at: T0.toISOString(),
    step: 'write-image',
    state: 'running',
    bytesDone: 1,
    bytesTotal: 2,
    bytesPerSecond: 3,
    ...changes,
  }
}

const RECEIPT = {
  imageVerified: true,
  warnings: [],
  startedAt: T0.toISOString(),
  finishedAt: T0.toISOString(),
}

describe('rules of a run', () => {
  it('queued has no time-out', () => {
    assert.equal(rules.tick(createRun(), after(1e9), START), undefined)
  })

  it('booting ends after fifteen minutes, and a second boot does not prolong it', () => {
    const run = { ...createRun(), ...rules.boot(createRun(), T0).changes }
    assert.equal(run.state, 'booting')
    const again = { ...run, ...rules.boot(run, after(600)).changes }
    assert.equal(rules.tick(again, after(899), START), undefined)
    assert.equal(rules.tick(again, after(900), START)?.state, 'timed-out')
  })

  it('running ends ten minutes after hello or the last report', () => {
    assert.equal(rules.tick(running(), after(599), START), undefined)
    assert.equal(rules.tick(running(), after(600), START)?.state, 'timed-out')
    const reported = running({ lastReportAt: after(500) })
    assert.equal(rules.tick(reported, after(1099), START), undefined)
    assert.equal(rules.tick(reported, after(1100), START)?.state, 'timed-out')
  })

  it('that went on while the server was away has its ten minutes from when that is back', () => {
    const run = running({ lastReportAt: after(10) })
    assert.equal(rules.tick(run, after(3600), after(3590)), undefined)
    assert.equal(rules.tick(run, after(3600 + 589), after(3590)), undefined)
    assert.equal(rules.tick(run, after(3600 + 590), after(3590))?.state, 'timed-out')
  })

  it('heard before the clock was set back has its ten minutes from then', () => {
    const run = running({ lastReportAt: after(86_400) })
    assert.equal(rules.tick(run, after(599), T0), undefined)
    assert.equal(rules.tick(run, after(600), T0)?.state, 'timed-out')
    assert.equal(rules.hello(run, after(1)).refusal, undefined)
    const other = running({ lastReportAt: after(30) })
    assert.equal(rules.hello(other, after(1)).refusal?.code, 'agent-active', 'by a clock beside')
  })

  it('each hello is an attempt with its own steps and sequence, three at most', () => {
    let run = createRun()
    for (let attempt = 1; attempt <= 3; attempt++) {
      const { changes, refusal } = rules.hello(run, after(attempt * 100))
      assert.equal(refusal, undefined)
      run = { ...run, ...changes, lastReportAt: after(attempt * 100), lastSequence: 5 }
      assert.equal(run.attempts, attempt)
      assert.ok(run.steps.every(({ state }) => state === 'pending'))
      assert.deepEqual(run.startedAt, after(100))
    }
    const { changes, refusal } = rules.hello(run, after(1000))
    assert.equal(refusal?.code, 'too-many-attempts')
    assert.deepEqual([changes.state, changes.error], ['failed', 'Booted 3 times, never finished'])
  })

  it('belongs to whoever claims it first', () => {
    const booty = running({ claimedBy: 'booty' })
    assert.equal(rules.hello(booty, after(1)).refusal?.code, 'claimed')
    assert.equal(rules.claimForBooty(running(), after(1)).refusal?.code, 'claimed')
    assert.equal(rules.claimForBooty(createRun(), after(1)).changes.state, 'running')
  })

  it('hello of a run whose cancel waits cancels it instead', () => {
    const run = createRun({ state: 'booting', bootedAt: T0, cancelRequested: true })
    assert.equal(rules.hello(run, after(1)).changes.state, 'cancelled')
  })

  it('cancel ends a queued run at once, asks a running one, and comes too late for the rest', () => {
    assert.equal(rules.cancel(createRun(), T0).changes.state, 'cancelled')
    assert.deepEqual(rules.cancel(running(), T0).changes, { cancelRequested: true })
    assert.deepEqual(rules.cancel(createRun({ state: 'cancelled' }), T0), { changes: {} })
    for (const state of ['succeeded', 'failed', 'timed-out'] as const)
      assert.equal(rules.cancel(createRun({ state }), T0).refusal?.code, 'run-over')
  })

  it('a silent machine is cancelled after a minute', () => {
    const run = running({ cancelRequested: true, lastReportAt: after(30) })
    assert.equal(rules.tick(run, after(89), START), undefined)
    assert.equal(rules.tick(run, after(90), START)?.state, 'cancelled')
  })

  for (const workflow of ['deploy', 'verify'] as const)
    it(`a run of workflow ${workflow} succeeds only with a receipt that says verified`, () => {
      const run = running({ workflow })
      const receipt = { ...RECEIPT, imageVerified: false }
      for (const body of [
        { state: 'succeeded' as const },
        { state: 'succeeded' as const, receipt },
      ])
        assert.equal(rules.result(run, 1, body, T0).refusal?.code, 'unproven')
      const proven = rules.result(run, 1, { state: 'succeeded', receipt: RECEIPT }, T0)
      assert.equal(proven.changes.state, 'succeeded')
    })

  it('a receipt of another image than its own is none of the run, however it ended', () => {
    const run = running({ imageDigest: parseSha256('a'.repeat(64)) })
    const about = (letter: string) => ({ ...RECEIPT, imageDigest: letter.repeat(64) })
    for (const state of ['succeeded', 'failed', 'cancelled'] as const) {
      const { changes, refusal } = rules.result(run, 1, { state, receipt: about('b') }, T0)
      assert.deepEqual([changes, refusal?.code], [{}, 'other-image'])
      const own = rules.result(run, 1, { state, receipt: about('a') }, T0)
      assert.equal(own.changes.state, state)
    }
    const cancelled = { ...run, state: 'cancelled' as const }
    const late = rules.result(cancelled, 1, { state: 'succeeded', receipt: about('b') }, T0)
    assert.equal(late.refusal?.code, 'other-image')
  })

  it('a run that was cancelled stays so, and keeps what its agent proved all the same', () => {
    const run = running({ state: 'cancelled' })
    const late = rules.result(run, 1, { state: 'succeeded', receipt: RECEIPT }, T0)
    assert.deepEqual(late, { changes: { receipt: RECEIPT } })
    const proven = { ...run, receipt: RECEIPT }
    const bare = rules.result(proven, 1, { state: 'failed', error: 'x' }, T0)
    assert.deepEqual(bare, { changes: { receipt: RECEIPT } })
  })

  it('a run that failed after its image was verified says both', () => {
    const body = { state: 'failed' as const, receipt: RECEIPT, error: 'Step grow-root failed' }
    const { changes } = rules.result(running(), 1, body, T0)
    assert.deepEqual(
      [changes.state, changes.receipt?.imageVerified, changes.error],
      ['failed', true, 'Step grow-root failed'],
    )
  })

  it('a result that comes twice changes nothing the second time', () => {
    const body = { state: 'failed' as const, error: 'x' }
    const ended = { ...running(), ...rules.result(running(), 1, body, T0).changes }
    assert.deepEqual(rules.result(ended, 1, body, after(5)), { changes: {} })
    const other = rules.result(ended, 1, { state: 'succeeded', receipt: RECEIPT }, after(5))
    assert.equal(other.refusal?.code, 'run-over')
  })

  it('reports of another attempt are refused', () => {
    for (const attempt of [1, 3]) {
      const { refusal } = rules.report(running({ attempts: 2 }), createReport({ attempt }), T0)
      assert.equal(refusal?.code, 'old-attempt')
    }
  })

  it('a step keeps when it began, and gets when it ended', () => {
    let run = running()
    run = { ...run, ...rules.report(run, createReport(), after(1)).changes }
    const last = createReport({ sequence: 1, state: 'succeeded' })
    run = { ...run, ...rules.report(run, last, after(2)).changes }
    assert.equal(run.steps[0]?.startedAt, after(1).toISOString())
    assert.equal(run.steps[0]?.finishedAt, after(2).toISOString())
  })

  it('whatever happens in whatever order, a run that ended stays as it ended', () => {
    const happening = fc.record({
      what: fc.constantFrom('boot', 'hello', 'booty', 'report', 'result', 'cancel', 'tick'),
      seconds: fc.integer({ min: 0, max: 1200 }),
      attempt: fc.integer({ min: 1, max: 4 }),
      sequence: fc.integer({ min: 0, max: 5 }),
      state: fc.constantFrom('succeeded' as const, 'failed' as const, 'cancelled' as const),
    })
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
        let run = createRun()
        let elapsed = 0
        for (const one of happenings) {
          elapsed += one.seconds
          const before = run
          run = { ...run, ...changesOf(run, one, after(elapsed)) }
          assert.ok(run.attempts <= MAX_ATTEMPTS)
          const ended = FINAL_RUN_STATES.some((state) => state === before.state)
          if (ended) assert.equal(run.state, before.state)
          assert.equal(run.finishedAt !== null, !rules.isActive(run))
          assert.ok(run.state !== 'queued' || before.state === 'queued')
        }
      }),
    )
  })

  function changesOf(
    run: rules.RunRecord,
    one: {
      what: string
      attempt: number
      sequence: number
      state: 'succeeded' | 'failed' | 'cancelled'
    },
    now: Date,
  ): rules.RunChanges {
    switch (one.what) {
      case 'boot':
        return rules.boot(run, now).changes
      case 'hello':
        return rules.hello(run, now).changes
      case 'booty':
        return rules.claimForBooty(run, now).changes
      case 'report':
        return rules.report(
          run,
          createReport({ attempt: one.attempt, sequence: one.sequence }),
          now,
        ).changes
      case 'result':
        return rules.result(run, one.attempt, { state: one.state, receipt: RECEIPT }, now).changes
      case 'cancel':
        return rules.cancel(run, now).changes
      default:
        return rules.tick(run, now, START) ?? {}
    }
  }
})
