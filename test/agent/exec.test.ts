import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ExecError, exec } from '#agent/exec.ts'

describe('exec', () => {
  it('gives back what a program printed, and its exit code where that is an answer', async () => {
    assert.equal((await exec('cat', [], { input: 'hello' })).stdout, 'hello')
    const { exitCode, stderr } = await exec('sh', ['-c', 'echo no >&2; exit 3'], {
      allowExitCodes: [3],
    })
    assert.deepEqual([exitCode, stderr], [3, 'no\n'])
  })

  it('fails with the exit code and the words of the program', async () => {
    await assert.rejects(exec('sh', ['-c', 'echo "no such thing" >&2; exit 4']), (err) => {
      assert.ok(err instanceof ExecError)
      assert.equal(err.exitCode, 4)
      assert.match(err.message, /failed with exit code 4: no such thing/)
      return true
    })
  })

  it('says of a program that it is missing', async () => {
    await assert.rejects(exec('no-such-program', ['-x']), /"no-such-program" is not installed/)
  })

  it('ends a program that takes too long, and one that is not wanted any more', async () => {
    await assert.rejects(exec('sleep', ['60'], { timeoutSeconds: 0.1 }), /was stopped after 0.1 s/)
    const stop = new AbortController()
    const sleeping = exec('sleep', ['60'], { signal: stop.signal })
    stop.abort(new Error('The run was cancelled'))
    await assert.rejects(sleeping, /The run was cancelled/)
  })

  it('survives a program that does not read its input', async () => {
    const input = 'x'.repeat(1_000_000)
    assert.equal((await exec('true', [], { input })).exitCode, 0)
  })
})
