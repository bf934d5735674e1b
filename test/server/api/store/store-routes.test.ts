import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { AuditEntry } from '#protocol/account.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { StoreStatus } from '#protocol/store.ts'
import { uploads } from '#server/db/schema.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { compressibleDisk, waitFor } from '../../care/care-lab.ts'

const authorization = `Bearer ${ADMIN_TOKEN}`
const CHUNKS = 5
const DISK = compressibleDisk(CHUNKS)

describe('the store by its API', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ realTime: true })
    await app.call('PUT', '/api/images/disk', DISK)
    // It counts what there is; else the background does so at some time.
    await app.call('POST', '/api/store/sweep')
  })
  after(() => app[Symbol.asyncDispose]())

  const status = async () => (await app.call<StoreStatus>('GET', '/api/store')).body
  const download = (headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${app.port}/images/disk.img.gz`, {
      headers: { authorization, ...headers },
    })

  it('tells room, contents by codec, and what is done', async () => {
    const store = await status()
    assert.equal(store.kind, 'folder')
    // The chunks and the list of them.
    assert.equal(store.chunks, CHUNKS + 1)
    assert.deepEqual(store.codecs, {
      gzip: { chunks: CHUNKS + 1, storedBytes: store.storedBytes },
      zstd: { chunks: 0, storedBytes: 0 },
    })
    assert.equal(store.contentBytes, DISK.length)
    assert.equal(store.availableBytes, store.freeBytes! - store.reserveBytes)
    assert.deepEqual(store.damaged, [])
  })

  it('recompresses when asked; a download that goes on later begins anew', async () => {
    const first = await download({ range: 'bytes=0-999' })
    const etag = first.headers.get('etag')!
    await first.arrayBuffer()
    const before = await status()
    assert.equal((await app.call('POST', '/api/store/recompress')).status, 202)
    await waitFor('the end', async () => {
      const { finishedAt } = (await status()).recompression
      return finishedAt !== before.recompression.finishedAt
    })
    await waitFor('the count', async () => (await status()).storedBytes < before.storedBytes)
    const { recompression, storedBytes } = await status()
    assert.equal(recompression.replacedChunks, CHUNKS)
    assert.equal(before.storedBytes - storedBytes, recompression.savedBytes)
    const { body: image } = await app.call<Image>('GET', '/api/images/disk')
    assert.equal(image.storedBytes, storedBytes)

    const rest = await download({ range: 'bytes=1000-', 'if-range': etag })
    assert.equal(rest.status, 200)
    assert.notEqual(rest.headers.get('etag'), etag)
    assert.ok(gunzipSync(await rest.arrayBuffer()).equals(DISK))
  })

  it('tells what was put for no image, until a sweep took it', async () => {
    assert.equal((await status()).unusedBytes, 0)
    const { storedBytes, chunks } = await status()
    const content = randomBytes(5000)
    const stored = gzipSync(content)
    assert.equal((await app.call('PUT', `/chunks/${sha256(content)}`, stored)).status, 201)
    const { unusedBytes, ...after } = await status()
    assert.equal(unusedBytes, stored.length)
    assert.deepEqual([after.storedBytes, after.chunks], [storedBytes, chunks])
    // Whoever put it may go on.
    await app.call('POST', '/api/store/sweep')
    assert.equal((await status()).unusedBytes, stored.length)
    await app.database.db.delete(uploads)
    await app.call('POST', '/api/store/sweep')
    assert.equal((await status()).unusedBytes, 0)
  })

  it('counts a chunk that images share once, in metrics too', async () => {
    await app.call('PUT', '/api/images/twin', Buffer.concat([DISK, Buffer.alloc(512, 1)]))
    await app.call('POST', '/api/store/sweep')
    assert.ok((await status()).savedBytes > 0)
    const { storedBytes, chunks } = await status()
    const response = await fetch(`http://127.0.0.1:${app.port}/metrics`)
    const metrics = await response.text()
    assert.match(metrics, new RegExp(`^stampede_image_bytes{kind="stored"} ${storedBytes}$`, 'm'))
    assert.match(metrics, new RegExp(`^stampede_store_chunks{codec="gzip"} ${chunks}$`, 'm'))
    assert.match(metrics, /^stampede_store_damaged_chunks 0$/m)
  })

  it('writes down who had it cared for', async () => {
    await app.call('POST', '/api/store/sweep')
    const { body } = await app.call<{ items: AuditEntry[] }>('GET', '/api/audit?action=store')
    const actions = body.items.map(({ action }) => action)
    for (const action of ['store.recompress', 'store.sweep']) assert.ok(actions.includes(action))
  })
})
