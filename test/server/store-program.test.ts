import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtempDisposable, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { rot } from './care/care-lab.ts'

const PROGRAM = new URL('../../server/store-main.ts', import.meta.url).pathname

describe('npm run store', () => {
  it('tells its usage to whoever asks for help', async () => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, '--help'])
    assert.match(stdout, /^Usage: npm run store -- migrate --from /)
    assert.equal(stderr, '')
  })

  it("marks a copy as that of the database whose store it is, unless it is another's", async () => {
    await using from = await openTestStore()
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-copy-'))
    const mark = 'database-0a0a0a0a-1111-4222-8333-444444444444'
    const other = 'database-0b0b0b0b-1111-4222-8333-444444444444'
    await mkdir(join(from.folder, mark))
    await mkdir(join(folder.path, 'others', other), { recursive: true })
    const marksOf = async (name: string) =>
      (await readdir(join(folder.path, name))).filter((each) => each.startsWith('database'))
    for (const name of ['new', 'others']) {
      const args = [
        'migrate',
        '--from',
        `file:${from.folder}`,
        '--to',
        `file:${folder.path}/${name}`,
      ]
      await promisify(execFile)(process.execPath, [PROGRAM, ...args], { env: cleanEnvironment({}) })
    }
    assert.deepEqual([await marksOf('new'), await marksOf('others')], [[mark], [other]])
  })

  it('does not say that all is there when it left what is damaged', async () => {
    await using from = await openTestStore()
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-copy-'))
    const contents = ['one', 'two', 'three'].map((word) => Buffer.alloc(8192, word))
    for (const content of contents) await from.store.putIfAbsent(sha256(content), gzipSync(content))
    await rot(from.folder, sha256(contents[0]!))
    const args = ['migrate', '--from', `file:${from.folder}`, '--to', `file:${folder.path}/to`]
    await assert.rejects(
      promisify(execFile)(process.execPath, [PROGRAM, ...args], { env: cleanEnvironment({}) }),
      (err: Error & { code: number; stdout: string; stderr: string }) => {
        assert.equal(err.code, 1)
        assert.match(err.stdout, /^2 of 3 chunks copied, [\d.]+ \w+$/m)
        assert.match(err.stderr, /lacks a chunk that is damaged in .* and was left there; /)
        return true
      },
    )
  })
})
