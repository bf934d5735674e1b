import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  appendRun,
  type BenchRun,
  describeMachine,
  newestOfEach,
  readRuns,
} from '../../bench/results.ts'

describe('results of the bench', () => {
  it('are appended, and read oldest first, with the machine that they were measured on', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-results-'))
    const file = join(folder.path, 'results/runs.jsonl')
    assert.deepEqual(await readRuns(file), [])
    const run: BenchRun = {
      at: '2026-01-01T00:00:00.000Z',
      commit: 'abc',
      machine: await describeMachine(folder.path),
      settings: { rounds: 3 },
      measurements: [{ key: 'deploy/stampede', name: 'Stampede', unit: 'seconds', rounds: [1] }],
      wanted: [],
    }
    await appendRun(run, file)
    await appendRun({ ...run, commit: 'def' }, file)
    const runs = await readRuns(file)
    assert.deepEqual(
      runs.map(({ commit }) => commit),
      ['abc', 'def'],
    )
    assert.deepEqual(runs[0], run)
    assert.ok(run.machine.cores > 0 && run.machine.processor !== '' && run.machine.disk !== '')
  })
  it('are shown from the newest run of each section', () => {
    const runOf = (commit: string, keys: string[]): BenchRun => ({
      at: '2026-01-01T00:00:00.000Z',
      commit,
      machine: { processor: '', cores: 2, memoryBytes: 1, kernel: '', disk: '', node: '' },
      settings: {},
      measurements: keys.map((key) => ({ key, name: key, unit: 'seconds', rounds: [1] })),
      wanted: [],
    })
    const runs = [
      runOf('a', ['growth/stampede', 'growth/borg']),
      runOf('b', ['deploy/stampede', 'deploy/dd', 'capture/stampede']),
      runOf('c', ['deploy/stampede']),
    ]
    const shown = newestOfEach(runs).map(({ commit, measurements }) => [
      commit,
      ...measurements.map(({ key }) => key),
    ])
    assert.deepEqual(shown, [
      ['c', 'deploy/stampede'],
      ['b', 'capture/stampede'],
      ['a', 'growth/stampede', 'growth/borg'],
    ])
  })
})
