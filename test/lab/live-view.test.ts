import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { createLiveView } from '#lab/live-view.ts'
import type { Run, Step } from '#protocol/run/run.ts'

function step(settings: Partial<Step>): Step {
  const figures = { bytesDone: 0, bytesTotal: 0, bytesPerSecond: 0 }
  return { name: 'write-image', state: 'running', ...figures, ...settings }
}

/** Only what the view reads. */
function runWith(state: Run['state'], steps: Step[]): Run {
  const finishedAt = state === 'succeeded' ? '2026-01-01T00:00:00Z' : null
  return { state, steps, finishedAt } as Run
}

describe('live view', () => {
  it('tells each change once, in lines, where nothing can be redrawn', () => {
    const stream = new PassThrough()
    using view = createLiveView(stream)
    view.say('Power on')
    const follow = view.follow('deploy to B')
    const halfway = { bytesDone: 50e6, bytesTotal: 100e6, bytesPerSecond: 20e6 }
    follow(runWith('queued', []))
    follow(runWith('queued', []))
    follow(runWith('running', [step(halfway)]))
    follow(runWith('running', [step({ ...halfway, bytesDone: 60e6 })]))
    follow(runWith('succeeded', [step({ ...halfway, state: 'succeeded' })]))
    const lines = String(stream.read()).trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => line.replace(/^ *\d+ s {2}/, '')),
      [
        'Power on',
        'deploy to B: queued',
        'deploy to B: running, write-image 50 % of 100 MB, 20 MB/s',
        'deploy to B: succeeded, write-image succeeded',
      ],
    )
  })

  it('draws a bar for each step on a terminal', () => {
    const terminal = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 40 })
    using view = createLiveView(terminal)
    const follow = view.follow('deploy to B')
    follow(runWith('running', [step({ bytesDone: 1, bytesTotal: 4 })]))
    follow(runWith('succeeded', [step({ state: 'succeeded', bytesDone: 4, bytesTotal: 4 })]))
    assert.match(String(terminal.read()), /deploy to B: write-image.*100% succeeded/)
  })
})
