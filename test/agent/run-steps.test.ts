import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CancelledError, type StepReporter } from '#agent/client/reporter.ts'
import { runSteps, type Steps } from '#agent/run-steps.ts'
import { createTestContext, SAMPLE_DISK } from '#test/support/step-context.ts'

const CHECKED: Steps['checkMachine'] = async () => SAMPLE_DISK

function createRecorder(): StepReporter & { told: unknown[] } {
  const told: unknown[] = []
  return {
    told,
    started: (step) => void told.push(step),
    progress: (done, total) => void told.push([done, total]),
    ended: (step, { state, message, error }) => void told.push([step, state, message ?? error]),
  }
}

async function run(names: string[], steps: Partial<Steps>, stop = new AbortController()) {
  const context = createTestContext({ serverUrl: 'http://127.0.0.1:1' })
  const reporter = createRecorder()
  const result = await runSteps({
    run: { ...context.run, steps: names },
    inventory: context.inventory,
    chunks: context.chunks,
    steps: { checkMachine: CHECKED, diskless: {}, others: {}, ...steps },
    reporter,
    signal: stop.signal,
    log: () => {},
  })
  return { result, told: reporter.told }
}

describe('runSteps', () => {
  it('does the steps in order, with the disk that was chosen, and collects the receipt', async () => {
    const { result, told } = await run(['check-machine', 'write-image', 'grow-root'], {
      others: {
        'write-image': async (context) => {
          assert.equal(context.disk, SAMPLE_DISK)
          context.progress(5, 10)
          context.receipt({ imageVerified: true, bytesWritten: 10 })
          return { state: 'succeeded' }
        },
        'grow-root': async (context) => {
          context.warn('The root is not the last partition')
          return { state: 'skipped', message: 'Nothing to grow' }
        },
      },
    })
    assert.deepEqual(told, [
      'check-machine',
      ['check-machine', 'succeeded', undefined],
      'write-image',
      [5, 10],
      ['write-image', 'succeeded', undefined],
      'grow-root',
      ['grow-root', 'skipped', 'Nothing to grow'],
    ])
    assert.partialDeepStrictEqual(result, {
      state: 'succeeded',
      receipt: {
        imageVerified: true,
        bytesWritten: 10,
        warnings: ['The root is not the last partition'],
        disk: { path: SAMPLE_DISK.path, serial: SAMPLE_DISK.serial },
      },
    })
  })

  it('ends with the first failure, its step and no receipt', async () => {
    const { result, told } = await run(['check-machine', 'write-image', 'grow-root'], {
      others: {
        'write-image': async () => {
          throw new Error('The disk is full of holes')
        },
        'grow-root': async () => assert.fail('not reached'),
      },
    })
    assert.deepEqual(told.at(-1), ['write-image', 'failed', 'The disk is full of holes'])
    assert.deepEqual(result, {
      state: 'failed',
      error: 'Step "write-image" failed: The disk is full of holes',
    })
  })

  it('says that the image itself is whole if a later step fails', async () => {
    const { result } = await run(['check-machine', 'write-image', 'boot-entry'], {
      others: {
        'write-image': async (context) => {
          context.receipt({ imageVerified: true })
          return { state: 'succeeded' }
        },
        'boot-entry': async () => {
          throw new Error('The firmware refused')
        },
      },
    })
    assert.equal(result.state, 'failed')
    assert.match(result.error!, /"boot-entry" failed after the image had been written and verified/)
    assert.equal(result.receipt?.imageVerified, true)
  })

  it('refuses a step that it does not know before any other is done', async () => {
    const { result, told } = await run(['check-machine', 'brew-coffee'], {
      checkMachine: async () => assert.fail('not reached'),
    })
    assert.match(result.error!, /does not know the step "brew-coffee"/)
    assert.deepEqual(told, [])
  })

  it('refuses to work on a disk that was not checked', async () => {
    const { result } = await run(['write-image'], {
      others: { 'write-image': async () => assert.fail('not reached') },
    })
    assert.match(result.error!, /comes before "check-machine"/)
  })

  it('ends cancelled when its operator cancels', async () => {
    const stop = new AbortController()
    const { result } = await run(
      ['check-machine', 'write-image', 'grow-root'],
      {
        others: {
          'write-image': async ({ signal }) => {
            stop.abort(new CancelledError('The run was cancelled'))
            signal.throwIfAborted()
            return { state: 'succeeded' }
          },
          'grow-root': async () => assert.fail('not reached'),
        },
      },
      stop,
    )
    assert.deepEqual(result, { state: 'cancelled', error: 'The run was cancelled' })
  })
})
