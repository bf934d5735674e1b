import { execFile } from 'node:child_process'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const DEADLINE_MILLISECONDS = 240_000
const PROGRAM = fileURLToPath(new URL('../../fixtures/chunk-pool-program.ts', import.meta.url))

it('threads that have nothing to do let the program end', async () => {
  // Killed at the deadline, and that is an error.
  await promisify(execFile)(process.execPath, [PROGRAM], { timeout: DEADLINE_MILLISECONDS })
})
