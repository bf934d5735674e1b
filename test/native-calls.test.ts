import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { build } from 'esbuild'

const PROGRAM = new URL('fixtures/exit-while-loading.ts', import.meta.url).pathname
const MAX_MILLISECONDS = 60_000

describe('a process that ends while a thread loads a native library', () => {
  for (const path of ['agent/native-calls.ts', 'server/images/codec/native-calls.ts'])
    it(`lets it finish, or koffi would abort the process: ${path}`, () => {
      const module = new URL(`../${path}`, import.meta.url).href
      const ended = spawnSync(process.execPath, [PROGRAM, module], { timeout: MAX_MILLISECONDS })
      assert.deepEqual([ended.status, String(ended.stdout)], [7, 'loaded'], String(ended.stderr))
    })
})

describe('the program of a thread, which may be ended while it starts', () => {
  for (const path of [
    'agent/chunks/chunk-worker.ts',
    'server/images/store/chunk-thread.ts',
    'server/images/store/recompress-worker.ts',
  ])
    it(`neither awaits while its modules run, nor loads koffi outside the gate: ${path}`, async () => {
      // V8 aborts the process (`AsyncModuleExecutionFulfilled`, SIGTRAP) if a thread is ended after an
      // await of a module of it. esbuild knows which do: CommonJS has no top-level await.
      const { metafile } = await build({
        entryPoints: [new URL(`../${path}`, import.meta.url).pathname],
        bundle: true,
        write: false,
        metafile: true,
        platform: 'node',
        format: 'cjs',
        external: ['koffi'],
        logLevel: 'silent',
      })
      const imported = Object.values(metafile.inputs).flatMap(({ imports }) => imports)
      assert.deepEqual(
        imported.filter((each) => each.external && each.path === 'koffi'),
        [],
      )
    })
})
