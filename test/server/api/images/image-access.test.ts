import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { decodeSegment, encodeManifest, encodeSegment } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const DISK = diskContent({ chunks: 3 })
const OTHER = Buffer.alloc(MIB, 'not of this image')

describeOnEveryDatabase('access to images', (_open, database) => {
  let app: TestApp
  let image: Image
  let other: Image
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    image = (await app.call<Image>('PUT', '/api/images/golden', DISK)).body
    other = (await app.call<Image>('PUT', '/api/images/other', OTHER)).body
  })
  after(() => app[Symbol.asyncDispose]())

  const download = async (path: string, token: string | null) => {
    const response = await fetch(`http://127.0.0.1:${app.port}${path}`, {
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
    })
    return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
  }

  it('a deploying agent reads its own image, chunk by chunk, and nothing else', async () => {
    await queueRun(app, '52:54:00:00:07:01', { workflow: 'deploy', image: 'golden' })
    const { token } = await startAgent(app, '52:54:00:00:07:01')
    const served = await download(`/images/by-digest/${image.digest}`, token)
    assert.equal(sha256(served.bytes), image.digest)
    const [segment] = (JSON.parse(served.bytes.toString()) as { segments: string[] }).segments
    const list = decodeSegment(gunzipSync((await download(`/chunks/${segment}`, token)).bytes))
    for (const [index, hash] of list.entries()) {
      if (hash === 'zero' || hash === 'unused') continue
      const content = gunzipSync((await download(`/chunks/${hash}`, token)).bytes)
      assert.ok(content.equals(DISK.subarray(index * MIB, (index + 1) * MIB)))
    }

    const foreign = sha256(OTHER)
    assert.equal((await download(`/chunks/${foreign}`, token)).status, 403)
    assert.equal((await app.call('HEAD', `/chunks/${foreign}`, undefined, { token })).status, 403)
    const member = gzipSync(Buffer.from('x'))
    const put = await app.call('PUT', `/chunks/${sha256(Buffer.from('x'))}`, member, { token })
    assert.equal(put.status, 403)
    const manifest = `/images/by-digest/${other.digest}`
    for (const path of ['/api/images', '/images/golden.img.gz', manifest])
      assert.equal((await download(path, token)).status, 403)
  })

  it('an image that an active run uses cannot be deleted', async () => {
    await app.call('PUT', '/api/images/in-use', OTHER)
    const run = await queueRun(app, '52:54:00:00:07:02', { workflow: 'deploy', image: 'in-use' })
    const refused = await app.call<{ error: { code: string } }>('DELETE', '/api/images/in-use')
    assert.equal(refused.status, 409)
    assert.equal(refused.body.error.code, 'image-in-use')
    await app.call('POST', `/api/runs/${run.id}/cancel`)
    assert.equal((await app.call('DELETE', '/api/images/in-use')).status, 204)
  })

  it('a run keeps the content it was made for, though the name means another now', async () => {
    const first = diskContent({ chunks: 2 })
    const { body: pinned } = await app.call<Image>('PUT', '/api/images/pinned', first)
    await queueRun(app, '52:54:00:00:07:03', { workflow: 'deploy', image: 'pinned' })
    const { token } = await startAgent(app, '52:54:00:00:07:03')
    await app.call('PUT', '/api/images/pinned', OTHER)
    const served = await download(`/images/by-digest/${pinned.digest}`, token)
    assert.equal(sha256(served.bytes), pinned.digest)
  })

  it('a capturing agent stores chunks and makes its own image only', async () => {
    const mac = '52:54:00:00:07:04'
    await queueRun(app, mac, { workflow: 'capture', image: 'captured' })
    const { token } = await startAgent(app, mac)
    const segment = Buffer.from(encodeSegment([sha256(OTHER)]))
    const manifest = Buffer.from(
      encodeManifest({ sizeBytes: MIB, sectorBytes: 512, segments: [sha256(segment)] }),
    )
    const asked = { sha256: [sha256(OTHER), sha256(segment)] }
    await app.call('POST', '/chunks/missing', asked, { token })
    await app.call('PUT', `/chunks/${sha256(OTHER)}`, gzipSync(OTHER), { token })
    await app.call('PUT', `/chunks/${sha256(segment)}`, gzipSync(segment), { token })
    const stolen = await app.call('PUT', '/api/images/golden/manifest', manifest, { token })
    assert.equal(stolen.status, 403)
    const made = await app.call('PUT', '/api/images/captured/manifest', manifest, { token })
    assert.equal(made.status, 201)
    const info = { operatingSystem: 'Debian GNU/Linux 13 (trixie)' }
    const told = await app.call<Image>('PUT', '/api/images/captured/info', info, { token })
    assert.deepEqual(told.body.info, info)
    for (const path of [`/chunks/${sha256(OTHER)}`, `/images/by-digest/${image.digest}`])
      assert.equal((await download(path, token)).status, 403)
  })

  it('a link needs no header, dies in time, and is good for its own image only', async () => {
    const { body } = await app.call<{ url: string; expiresAt: string }>(
      'POST',
      '/api/images/golden/links',
      { expiresInSeconds: 60 },
    )
    const { pathname } = new URL(body.url)
    assert.match(pathname, /^\/l\/[\w-]{43}\/golden\.img\.gz$/)
    const { bytes } = await download(pathname, null)
    assert.ok(gunzipSync(bytes).equals(DISK))
    assert.equal((await download(pathname.replace('golden', 'other'), null)).status, 404)
    assert.equal((await app.call('POST', pathname.replace('.img.gz', ''), DISK)).status, 404)
    app.clock.advance(61)
    assert.equal((await download(pathname, null)).status, 404)
    assert.equal((await app.call('POST', '/api/images/golden/links')).status, 201)
  })
})
