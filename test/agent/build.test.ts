import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { addLauncher, AGENT_ENTRY, bundleAgent } from '#agent/build.ts'

const run = promisify(execFile)

describe('the agent as a folder', () => {
  it('runs where nothing else of the project is', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-agent-'))
    try {
      await bundleAgent(AGENT_ENTRY, folder)
      await addLauncher(folder)
      const { version } = JSON.parse(
        await readFile(join(import.meta.dirname, '../../package.json'), 'utf8'),
      ) as { version: string }
      const options = { cwd: '/', env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' } }
      const program = join(folder, 'stampede-agent')
      assert.equal((await run(program, ['--version'], options)).stdout.trim(), version)
      const inventory = JSON.parse((await run(program, ['inventory'], options)).stdout) as object
      assert.ok('disks' in inventory)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
