import assert from 'node:assert/strict'
import { request, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { uploads } from '#server/db/schema.ts'
import { openFreshDatabase } from '#test/support/database.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const DISK = Buffer.alloc(2 * 1024 * 1024, 7)

/** An upload of which nothing was sent yet but that it comes. */
function beginUpload(app: TestApp, name: string) {
  const upload = request({
    host: '127.0.0.1',
    port: app.port,
    method: 'PUT',
    path: `/api/images/${name}`,
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      'content-type': 'application/octet-stream',
      'content-length': DISK.length,
    },
  })
  const answer = new Promise<number>((resolve, reject) => {
    upload.once('response', (response: IncomingMessage) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    upload.once('error', reject)
  })
  return { upload, answer }
}

/** How many uploads the server has begun to read. */
function countUploads(app: TestApp): Promise<number> {
  return app.database.db.$count(uploads)
}

describe('a server that stops', () => {
  it('lets a running upload end, and cuts one that does not without a trace', async () => {
    await using fresh = await openFreshDatabase('postgres')
    assert.equal(fresh.config.kind, 'postgres')
    const env = { DATABASE_URL: fresh.config.url }
    const app = await openTestApp({ env })
    const ending = beginUpload(app, 'ending')
    const endless = beginUpload(app, 'endless')
    for (const { upload } of [ending, endless]) upload.write(DISK.subarray(0, 1024 * 1024 + 5))
    const cut = assert.rejects(endless.answer)
    while ((await countUploads(app)) < 2) await sleep(10)
    const stopped = app[Symbol.asyncDispose]()
    ending.upload.end(DISK.subarray(1024 * 1024 + 5))
    assert.equal(await ending.answer, 201)
    await cut
    await stopped

    await using again = await openTestApp({ env })
    const { body } = await again.call<{ items: { name: string }[] }>('GET', '/api/images')
    assert.deepEqual(
      body.items.map(({ name }) => name),
      ['ending'],
    )
  })
})
