import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chartGroups, drawChart } from '../../bench/chart.ts'
import type { Measurement } from '../../bench/measurement.ts'

const MEASURED: Measurement[] = [
  { key: 'deploy/stampede', name: 'ours', unit: 'seconds', rounds: [2, 4] },
  { key: 'deploy/partclone', name: 'theirs & co', unit: 'seconds', rounds: [8, 8] },
  { key: 'capture/stampede-stored', name: 'ours', unit: 'bytes', rounds: [300e6] },
  { key: 'growth/stampede-2', name: 'ours', unit: 'bytes', rounds: [40e6] },
]

describe('chart of the bench', () => {
  it('puts beside each other what measures the same', () => {
    const groups = chartGroups(MEASURED).map(({ title, bars }) => [title, bars.length])
    assert.deepEqual(groups, [
      ['Deploy to a blank disk', 2],
      ['Image stored', 1],
    ])
  })

  it('is an SVG with names and medians', async () => {
    const svg = await drawChart(MEASURED)
    assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
    for (const text of ['theirs &amp; co', '3.00 s', '8.00 s', '300 MB'])
      assert.ok(svg.includes(text))
  })
})
