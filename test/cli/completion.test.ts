import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { fasterStart } from '#test/support/clean-environment.ts'
import { addImage } from '#test/support/named-image.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { LAUNCHER } from './stampede.ts'

const run = promisify(execFile)

describe('completion in bash', () => {
  let app: TestApp
  let folder: string
  before(async () => {
    app = await openTestApp({ realTime: true })
    folder = mkdtempSync(join(tmpdir(), 'stampede-completion-'))
    symlinkSync(LAUNCHER, join(folder, 'stampede'))
    await app.call('PUT', '/api/machines/52:54:00:00:00:01', { name: 'rack3-node7' })
    await app.call('PUT', '/api/machines/52:54:00:00:00:02', { name: 'two words' })
    await addImage(app, 'debian-13')
  })
  after(async () => {
    rmSync(folder, { recursive: true })
    await app[Symbol.asyncDispose]()
  })

  /** What bash would offer for a line, as readline asks it. */
  async function offered(line: string, env: Record<string, string> = {}): Promise<string[]> {
    const script = `
      source <(stampede completion bash)
      COMP_LINE=$1 COMP_POINT=\${#1}
      _stampede 2>/dev/null
      printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = await run('bash', ['-c', script, 'bash', line], {
      env: {
        PATH: `${folder}:/usr/bin:/bin`,
        HOME: folder,
        ...fasterStart(),
        STAMPEDE_SERVER: `http://127.0.0.1:${app.port}`,
        STAMPEDE_TOKEN: ADMIN_TOKEN,
        ...env,
      },
      timeout: 240_000,
    })
    return stdout.trim().split('\n')
  }

  /** The same of what the server knows, which is not waited for as long as on a machine with too much to do. */
  async function offeredByServer(line: string): Promise<string[]> {
    const deadline = Date.now() + 240_000
    for (;;) {
      const words = await offered(line)
      if (words.join() !== '' || Date.now() > deadline) return words
    }
  }

  it('offers commands and what is below them', async () => {
    assert.deepEqual(await offered('stampede mach'), ['machines'])
    const below = await offered('stampede machines ')
    for (const name of ['ls', 'show', 'lock', 'watch']) assert.ok(below.includes(name), name)
  })

  it('offers options, and their values', async () => {
    assert.deepEqual(await offered('stampede machines ls --sta'), ['--state'])
    assert.deepEqual(await offered('stampede machines ls --state dep'), ['deployed'])
    assert.deepEqual(await offered('stampede machines ls --state=dep'), ['deployed'])
    assert.deepEqual(await offeredByServer('stampede deploy rack3-node7 --image d'), ['debian-13'])
    assert.deepEqual(await offeredByServer('stampede images promote d'), ['debian-13'])
  })

  it('offers of states and workflows those that the command takes', async () => {
    assert.deepEqual(await offered('stampede runs ls --state s'), ['succeeded'])
    assert.deepEqual(await offered('stampede runs ls --state d'), [''])
    assert.deepEqual(await offered('stampede runs ls --workflow v'), ['verify'])
    assert.deepEqual(await offered('stampede machines ls --state s'), [''])
    assert.deepEqual(await offered('stampede plan --workflow v'), [''])
  })

  it('offers machines by name, and by MAC where the name cannot be typed', async () => {
    assert.deepEqual(await offeredByServer('stampede machines show rack'), ['rack3-node7'])
    assert.deepEqual(await offeredByServer('stampede deploy --image debian-13 rack'), [
      'rack3-node7',
    ])
    // bash completes what follows the last colon.
    assert.deepEqual(await offeredByServer('stampede machines show 52:54:00:00:00:'), ['02'])
  })

  it('leaves files to bash', async () => {
    assert.deepEqual(await offered('stampede images push '), [''])
  })

  it('offers nothing, and says nothing, when the server is away', async () => {
    const env = { STAMPEDE_SERVER: 'http://127.0.0.1:4' }
    assert.deepEqual(await offered('stampede machines show ', env), [''])
  })
})
