import assert from 'node:assert/strict'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
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

/** As a client does that does not wait for one answer before it asks on. */
function askBehindUpload(app: TestApp) {
  const socket = connect(app.port, '127.0.0.1')
  const authorization = `Authorization: Bearer ${ADMIN_TOKEN}`
  const upload = [`PUT /api/images/piped HTTP/1.1`, 'Host: a', authorization]
  upload.push('Content-Type: application/octet-stream', `Content-Length: ${DISK.length}`, '', '')
  socket.write(upload.join('\r\n'))
  socket.write(DISK.subarray(1))
  return {
    answers: text(socket),
    end() {
      socket.write(DISK.subarray(0, 1))
      socket.write(['GET /api/images HTTP/1.1', 'Host: a', authorization, '', ''].join('\r\n'))
    },
  }
}

describe('a server that stops', () => {
  it('turns away what is asked of it meanwhile in the form of all its errors', async () => {
    const app = await openTestApp()
    const asked = askBehindUpload(app)
    while ((await countUploads(app)) < 1) await sleep(10)
    const stopped = app[Symbol.asyncDispose]()
    while (app.http.server.listening) await sleep(10)
    asked.end()
    const answers = await asked.answers
    await stopped
    assert.match(answers, /^HTTP\/1\.1 201 /)
    const refused = answers.slice(answers.lastIndexOf('HTTP/1.1'))
    assert.match(refused, /^HTTP\/1\.1 503 .*retry-after: \d/s)
    const { error } = JSON.parse(refused.split('\r\n\r\n')[1]!) as { error: { code: string } }
    assert.equal(error.code, 'stopping')
  })

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
