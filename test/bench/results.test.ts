import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { appendRun, type BenchRun, describeMachine, readRuns } from '../../bench/results.ts'

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
})
