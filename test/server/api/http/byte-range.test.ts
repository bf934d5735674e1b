import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseRange } from '#server/api/http/byte-range.ts'

describe('parseRange', () => {
  it('reads what RFC 9110 gives as examples, of 10,000 bytes', () => {
    const cases: [header: string, expected: ReturnType<typeof parseRange>][] = [
      ['bytes=0-499', { start: 0, end: 500 }],
      ['bytes=500-999', { start: 500, end: 1000 }],
      ['bytes=-500', { start: 9500, end: 10_000 }],
      ['bytes=9500-', { start: 9500, end: 10_000 }],
      ['bytes=9500-20000', { start: 9500, end: 10_000 }],
      ['bytes=-20000', { start: 0, end: 10_000 }],
      ['bytes=10000-', 'unsatisfiable'],
      ['bytes=-0', 'unsatisfiable'],
    ]
    for (const [header, expected] of cases) assert.deepEqual(parseRange(header, 10_000), expected)
  })

  it('ignores what it may ignore', () => {
    for (const header of [
      undefined,
      '',
      'bytes=',
      'bytes=-',
      'lines=1-2',
      'bytes=5-1',
      'bytes=0-1,5-6',
    ])
      assert.equal(parseRange(header, 10_000), 'whole')
  })
})
