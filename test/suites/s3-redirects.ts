import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { createChunkClient } from '#agent/client/http-chunk-client.ts'
import { createHttpClient } from '#agent/client/http.ts'
import { createShell } from '#test/cli/stampede.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import type { RadosGateway } from '#test/support/rados-gateway.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const DISK = diskContent({ chunks: 5, lastBytes: 4096 })
const FIRST = DISK.subarray(0, MIB)

/** Chunks that agents get from the store itself. */
export function testS3Redirects(gateway: () => RadosGateway): void {
  const open = async (redirect: 'on' | 'off') => {
    const { accessKeyId, secretAccessKey } = gateway().access('stampede')
    const app = await openTestApp({
      env: {
        STAMPEDE_STORE: redirect === 'on' ? 's3://stampede/redirects' : 's3://stampede/direct',
        STAMPEDE_STORE_REDIRECT: redirect,
        AWS_ENDPOINT_URL: gateway().endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
      },
    })
    const { status, body } = await app.call('POST', '/api/images/debian', DISK)
    assert.equal(status, 201, JSON.stringify(body))
    return app
  }
  const ask = (url: string) =>
    fetch(url, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` }, redirect: 'manual' })

  let app: TestApp
  before(async () => void (app = await open('on')))
  after(() => app[Symbol.asyncDispose]())

  it('are sent to an address that is good for a while, for this chunk only', async () => {
    const answer = await ask(`${app.url}/chunks/${sha256(FIRST)}`)
    assert.equal(answer.status, 307)
    assert.equal(answer.headers.get('cache-control'), 'no-store')
    const location = answer.headers.get('location')!
    assert.ok(location.startsWith(`${gateway().endpoint}/stampede/redirects/chunks/`))
    assert.doesNotMatch(location, /testsecretkey/)
    const stored = await fetch(location)
    assert.equal(stored.status, 200)
    assert.ok(gunzipSync(Buffer.from(await stored.arrayBuffer())).equals(FIRST))
    // Neither another chunk nor another method by the same signature.
    const other = new URL(location)
    other.pathname = other.pathname.slice(0, -1)
    assert.equal((await fetch(other)).status, 403)
    assert.equal((await fetch(location, { method: 'DELETE' })).status, 403)
    assert.equal((await fetch(location, { method: 'PUT', body: 'x' })).status, 403)
  })

  it('belong to one database: no server with another starts there', async () => {
    const opened = open('on').then((other) => other[Symbol.asyncDispose]())
    await assert.rejects(opened, /s3:\/\/stampede\/redirects" belongs to another database/)
  })

  it('come from the server for whoever asks it to', async () => {
    const answer = await ask(`${app.url}/chunks/${sha256(FIRST)}?direct=1`)
    assert.equal(answer.status, 200)
    assert.ok(gunzipSync(Buffer.from(await answer.arrayBuffer())).equals(FIRST))
  })

  it('come from the server without the setting', async () => {
    await using other = await open('off')
    assert.equal((await ask(`${other.url}/chunks/${sha256(FIRST)}`)).status, 200)
  })

  it('are told to nobody who may not read them', async () => {
    const url = `${app.url}/chunks/${sha256(FIRST)}`
    assert.equal((await fetch(url, { redirect: 'manual' })).status, 401)
  })

  it('are pulled by the command, which asks the server itself', async () => {
    using shell = createShell(app.port)
    const folder = await mkdtemp(join(tmpdir(), 'stampede-pull-'))
    try {
      const output = join(folder, 'disk.raw')
      const args = ['--token', ADMIN_TOKEN, 'images', 'pull', 'debian', '-o', output]
      const { code, stderr } = await shell.run(args)
      assert.equal(code, 0, stderr)
      assert.ok(DISK.equals(await readFile(output)))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('are read by an agent, and missing ones are missing', async () => {
    const client = createChunkClient(
      createHttpClient({ serverUrl: app.url, token: ADMIN_TOKEN, maxOutageSeconds: 60 }),
    )
    const signal = AbortSignal.timeout(60_000)
    assert.ok(FIRST.equals(await client.read(sha256(FIRST), signal)))
    await assert.rejects(client.read(sha256(Buffer.from('nobody has it')), signal), /missing/)
  })
}
