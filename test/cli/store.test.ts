import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { StoreStatus } from '#protocol/store.ts'
import { addToken } from '#test/support/accounts.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { diskContent, sha256 } from '#test/support/disk-content.ts'
import { waitFor } from '../server/care/care-lab.ts'
import { createShell, type Shell } from './stampede.ts'

describe('stampede store', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true })
    await app.call('PUT', '/api/images/debian-13', diskContent())
    shell = createShell(app.port)
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await shell.run(['--token', ADMIN_TOKEN, ...args])
    assert.equal(code, 0, stderr)
    return stdout
  }
  const status = async () => (await app.call<StoreStatus>('GET', '/api/store')).body

  it('shows room, contents, damage and care', async () => {
    // Nobody who stores an image waits for that for long.
    await waitFor('what is in the store is counted', async () => (await status()).chunks > 0)
    const text = await run('store')
    assert.match(text, /^Store +\//)
    assert.match(text, /^Room +.+ left \(.+ free, .+ in reserve\)$/m)
    assert.match(text, /^Chunks +\d+ in .+ for .+ of content: \d+ gzip in/m)
    assert.match(text, /^Damage +none known$/m)
    const shown = JSON.parse(await run('store', 'show', '--json')) as object
    assert.deepEqual(Object.keys(shown), Object.keys(await status()))
  })

  it('turns recompression off and on', async () => {
    await run('store', 'recompress', '--off')
    assert.equal((await status()).recompression.enabled, false)
    assert.match(await run('store'), /^Recompression +off;/m)
    await run('store', 'recompress', '--on')
    assert.equal((await status()).recompression.enabled, true)
    assert.equal((await shell.run(['store', 'recompress', '--on', '--off'])).code, 2)
  })

  it('has chunks read, and those removed that nothing needs', async () => {
    assert.match(await run('store', 'scrub'), /^\d+ chunks .* will be read/)
    assert.match(await run('store', 'sweep'), /^Removed 0 chunks$/m)
  })

  it('shows what belongs to no image, if there is something', async () => {
    assert.doesNotMatch(await run('store'), /^Unused/m)
    const content = randomBytes(5000)
    await app.call('PUT', `/chunks/${sha256(content)}`, gzipSync(content))
    assert.match(await run('store'), /^Unused +5\.0 kB part of no image: goes at the next sweep/m)
  })

  it('is looked at by everybody, and cared for by admins', async () => {
    const { secret } = await addToken(app, { role: 'viewer' })
    const as = (...args: string[]) => shell.run(['--token', secret, ...args])
    assert.equal((await as('store')).code, 0)
    for (const care of ['scrub', 'recompress', 'sweep'])
      assert.equal((await as('store', care)).code, 4)
  })
})
