import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTable } from '../../bench/markdown.ts'
import { median, ratio, type Measurement } from '../../bench/measurement.ts'
import { parseOptions, SECTIONS } from '../../bench/options.ts'
import { formatVerdict, judge, WANTED, type Wanted } from '../../bench/wanted.ts'

function seconds(key: string, ...rounds: number[]): Measurement {
  return { key, name: key, unit: 'seconds', rounds }
}

describe('measurements', () => {
  it('have the middle value as their median, or the mean of the two in the middle', () => {
    assert.equal(median([9, 1, 5]), 5)
    assert.equal(median([10, 2, 9, 100]), 9.5)
    assert.throws(() => median([]), TypeError)
  })

  it('are held against each other round by round, so that a slow round of both counts little', () => {
    assert.equal(ratio(seconds('ours', 1, 50, 2), seconds('theirs', 2, 100, 4)), 0.5)
    // The ratio of the medians would be 2 / 10.
    assert.equal(ratio(seconds('ours', 1, 2, 90), seconds('theirs', 10, 4, 100)), 0.5)
  })

  it('that were made once are held against every round of the other', () => {
    assert.equal(ratio(seconds('ours', 10, 20, 30), seconds('theirs', 10)), 2)
  })

  it('of which one has other rounds than the other have no ratio', () => {
    assert.throws(() => ratio(seconds('a', 1, 2), seconds('b', 1, 2, 3)), /"a" has 2 rounds, "b" 3/)
  })

  it('become a table that holds each against the first', () => {
    const rows = [seconds('ours', 2, 4, 3), { ...seconds('theirs', 6, 6, 6), name: 'a | b' }]
    assert.equal(
      formatTable({ title: 'deploy', rows }),
      [
        '| deploy | median | range | |',
        '| --- | --- | --- | --- |',
        '| ours | 3.00 s | 2.00 s – 4.00 s | 1.00 × |',
        '| a \\| b | 6.00 s | 6.00 s – 6.00 s | 2.00 × |',
      ].join('\n'),
    )
  })
})

describe('verdicts', () => {
  const atMost: Wanted = {
    what: 'deploy',
    ours: 'ours',
    theirs: 'theirs',
    bound: 'at most',
    value: 0.55,
  }

  it('say what was reached and whether that is enough, in both directions', () => {
    const measured = [seconds('ours', 5.5), seconds('theirs', 10)]
    const atLeast: Wanted = { ...atMost, bound: 'at least', value: 0.56 }
    const lines = judge(measured, [atMost, atLeast]).map(formatVerdict)
    assert.deepEqual(lines, [
      'met    deploy: 0.55 ×, wanted at most 0.55 ×',
      'MISSED deploy: 0.55 ×, wanted at least 0.56 ×',
    ])
  })

  it('compare with the bound itself where there is nothing to hold it against', () => {
    const alone: Wanted = { what: 'stored more', ours: 'ours', bound: 'at most', value: 45e6 }
    const bytes: Measurement = { ...seconds('ours', 46e6), unit: 'bytes' }
    assert.deepEqual(judge([bytes], [alone]).map(formatVerdict), [
      'MISSED stored more: 46 MB, wanted at most 45 MB',
    ])
  })

  it('are not given on what was not measured', () => {
    assert.deepEqual(judge([seconds('ours', 1)], [atMost]), [])
  })

  it('are asked for by keys of sections that exist', () => {
    for (const { ours, theirs = ours } of WANTED)
      for (const key of [ours, theirs])
        assert.ok((SECTIONS as readonly string[]).includes(key.split('/')[0]!), key)
  })
})

describe('options of the bench', () => {
  it('bring sections into the order in which they need each other', () => {
    const { sections } = parseOptions(['--only', 'serve,deploy', '--only', 'capture'])
    assert.deepEqual(sections, ['capture', 'deploy', 'serve'])
    assert.deepEqual(parseOptions([]).sections, SECTIONS)
  })

  it('that make no sense are refused in a sentence', () => {
    assert.throws(() => parseOptions(['--only', 'disk']), /must be one of capture, deploy/)
    assert.throws(() => parseOptions(['--rounds', '0']), /--rounds is "0" but must be above 0/)
  })

  it('leave no results of a quick look among the others', () => {
    assert.equal(parseOptions(['--quick']).record, false)
    assert.equal(parseOptions([]).record, true)
  })
})
