import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openTestApp } from '#test/support/test-app.ts'

const MIB = 1024 * 1024

describe('a chunk store', () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'stampede-owner-'))))
  after(() => rm(folder, { recursive: true }))

  it('belongs to one database: with another, which knows none of its images, no server starts', async () => {
    const store = join(folder, 'store')
    const env = { STAMPEDE_STORE: `file:${store}` }
    const data = join(folder, 'data')
    const content = randomBytes(2 * MIB)
    const open = () => openTestApp({ env: { ...env, STAMPEDE_DATA: data } })
    {
      await using app = await open()
      assert.equal((await app.call('POST', '/api/images/precious', content)).status, 201)
    }
    const half = join(store, 'tmp', 'half')
    await writeFile(half, 'of the server whose store it is')
    const refusal = await openTestApp({ env }).then(
      async (app) => {
        await app[Symbol.asyncDispose]()
        return undefined
      },
      (err: Error) => err,
    )
    assert.equal(refusal?.name, 'ServiceError')
    const why = /belongs to another database.* remove ".*\/store\/database-[-0-9a-f]{36}" first$/
    assert.match(refusal?.message ?? '', why)
    assert.deepEqual(await readdir(join(store, 'tmp')), ['half'], 'it may be at work')
    await using app = await open()
    assert.equal((await app.call('POST', '/api/store/sweep')).status, 200)
    assert.equal((await app.call('GET', '/images/precious.img')).status, 200)
  })

  it('is taken by another database once its mark was removed', async () => {
    const env = { STAMPEDE_STORE: `file:${join(folder, 'left')}` }
    await (await openTestApp({ env }))[Symbol.asyncDispose]()
    const [mark] = (await readdir(join(folder, 'left'))).filter((name) =>
      name.startsWith('database-'),
    )
    await rmdir(join(folder, 'left', mark!))
    await (await openTestApp({ env }))[Symbol.asyncDispose]()
    await assert.rejects(openTestApp({ env }), /belongs to another database/)
  })

  it('is left as it is where chunks are only fetched from it', async () => {
    const other = join(folder, 'other')
    await (await openTestApp({ env: { STAMPEDE_STORE: `file:${other}` } }))[Symbol.asyncDispose]()
    await writeFile(join(other, 'tmp', 'half'), 'of a server that is at work')
    const app = await openTestApp({ env: { STAMPEDE_HEAL_FROM: `file:${other}` } })
    await app[Symbol.asyncDispose]()
    assert.deepEqual(await readdir(join(other, 'tmp')), ['half'])
  })
})
