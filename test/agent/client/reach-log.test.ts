import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createReachLog } from '#agent/client/reach-log.ts'

function openLog() {
  const lines: string[] = []
  let seconds = 0
  const reach = createReachLog(
    (line) => void lines.push(line),
    () => seconds * 1000,
  )
  return { lines, reach, pass: (more: number) => void (seconds += more) }
}

describe('what is said of a server that is away', () => {
  it('is that it is waited for, now and then that it still is, and for how long it was', () => {
    const { lines, reach, pass } = openLog()
    for (let second = 0; second < 65; second++) {
      // As many as are under way at once.
      for (let request = 0; request < 16; request++) reach.failed('connect ECONNREFUSED')
      pass(1)
    }
    reach.answered()
    reach.answered()
    assert.deepEqual(lines, [
      'Waiting for the server, for 1 s by now: connect ECONNREFUSED',
      'Waiting for the server, for 31 s by now: connect ECONNREFUSED',
      'Waiting for the server, for 61 s by now: connect ECONNREFUSED',
      'The server answers again; it was waited for 65 s',
    ])
  })

  it('is nothing while single requests fail and the next one succeeds', () => {
    const { lines, reach, pass } = openLog()
    for (let second = 0; second < 10; second++) {
      reach.failed('socket hang up')
      pass(0.5)
      reach.answered()
    }
    assert.deepEqual(lines, [])
  })
})
