import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'

const PROGRAM = new URL('fixtures/exit-while-loading.ts', import.meta.url).pathname
const MAX_MILLISECONDS = 60_000

describe('a process that ends while a thread loads a native library', () => {
  for (const path of ['agent/native-calls.ts', 'server/images/native-calls.ts'])
    it(`lets it finish, or koffi would abort the process: ${path}`, () => {
      const module = new URL(`../${path}`, import.meta.url).href
      const ended = spawnSync(process.execPath, [PROGRAM, module], { timeout: MAX_MILLISECONDS })
      assert.deepEqual([ended.status, String(ended.stdout)], [7, 'loaded'], String(ended.stderr))
    })
})
