import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProgressLine } from '#agent/progress-line.ts'

describe('the progress of a step as lines', () => {
  function lineOf(step: string, options?: { isReadBack: boolean }): string {
    const written: string[] = []
    const line = createProgressLine({ isTTY: false, write: (text) => written.push(text) }, options)
    line.started(step)
    line.progress(3_000_000_000, 3_000_000_000)
    return written.join('')
  }

  it('says that bytes are counted twice where they are', () => {
    assert.match(lineOf('write-image'), /^write-image: 100 % of 3\.0 GB to write and read back, /)
  })

  it('does not where they are counted once', () => {
    const once = /^(read|write)-image: 100 % of 3\.0 GB, .*\/s\n$/
    assert.match(lineOf('read-image'), once)
    assert.match(lineOf('write-image', { isReadBack: false }), once)
  })
})
