import { execFile } from 'node:child_process'
import { it } from 'node:test'
import { promisify } from 'node:util'

const DEADLINE_MILLISECONDS = 60_000
const PROGRAM = `
  import { withChunkBuffer } from '#agent/disk/buffer-pool.ts'
  import { hashChunk } from '#agent/chunk-pool.ts'
  await withChunkBuffer((chunk) => hashChunk(chunk))
`

it('threads that have nothing to do let the program end', async () => {
  const args = ['--input-type=module-typescript', '--eval', PROGRAM]
  const cwd = new URL('../../', import.meta.url).pathname
  // Killed at the deadline, and that is an error.
  await promisify(execFile)(process.execPath, args, { cwd, timeout: DEADLINE_MILLISECONDS })
})
