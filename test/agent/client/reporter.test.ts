import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HttpStatusError } from '#agent/client/http.ts'
import { CancelledError, SupersededError, openReporter } from '#agent/client/reporter.ts'
import type { Report, ReportAnswer } from '#protocol/run/agent.ts'

function createServer(answer: (report: Report) => ReportAnswer = () => ({ cancel: false })) {
  const reports: Report[] = []
  const send = async (report: Report) => {
    reports.push(report)
    return answer(report)
  }
  return { reports, send }
}

describe('reporter', () => {
  it('numbers its reports and leaves out no end of a step', async () => {
    const { reports, send } = createServer()
    {
      await using reporter = openReporter({ attempt: 2, send, onStop: assert.fail })
      reporter.started('check-machine')
      reporter.ended('check-machine', { state: 'succeeded' })
      reporter.started('write-image')
      for (let done = 0; done <= 1000; done++) reporter.progress(done, 1000)
      reporter.ended('write-image', { state: 'failed', error: 'The disk is full of holes' })
    }
    const ends = reports.filter(({ state }) => state !== 'running')
    assert.deepEqual(
      ends.map(({ step, state, error }) => [step, state, error]),
      [
        ['check-machine', 'succeeded', undefined],
        ['write-image', 'failed', 'The disk is full of holes'],
      ],
    )
    assert.partialDeepStrictEqual(ends[1], { attempt: 2, bytesDone: 1000, bytesTotal: 1000 })
    assert.deepEqual(
      reports.map(({ sequence }) => sequence),
      reports.map((_, index) => index),
    )
    // A thousand steps of progress, and at most one report a second of them.
    assert.ok(reports.length <= 4)
  })

  it('stops the run when the server says that it is cancelled', async () => {
    const { send } = createServer(() => ({ cancel: true }))
    const reasons: Error[] = []
    const reporter = openReporter({ attempt: 1, send, onStop: (reason) => reasons.push(reason) })
    reporter.started('write-image')
    reporter.ended('write-image', { state: 'succeeded' })
    await reporter[Symbol.asyncDispose]()
    assert.ok(reasons[0] instanceof CancelledError)
  })

  it('stops the run when a later attempt has it, and reports no more', async () => {
    const refusal = new HttpStatusError(
      { method: 'POST', path: '/agent/runs/1/reports' },
      409,
      Buffer.from('{"error":{"code":"old-attempt","message":"Attempt 2 has the run"}}'),
    )
    const { reports, send } = createServer(() => {
      throw refusal
    })
    const reasons: Error[] = []
    const reporter = openReporter({ attempt: 1, send, onStop: (reason) => reasons.push(reason) })
    for (const step of ['check-machine', 'write-image']) {
      reporter.started(step)
      reporter.ended(step, { state: 'succeeded' })
    }
    await reporter[Symbol.asyncDispose]()
    assert.ok(reasons[0] instanceof SupersededError)
    assert.match(reasons[0].message, /Attempt 2 has the run/)
    assert.equal(reports.length, 1)
  })
})
