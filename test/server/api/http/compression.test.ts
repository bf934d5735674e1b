import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const MACHINES = 60
const tags = ['of a long list', 'told to a far place', 'by a slow line']

interface Raw {
  encoding: string | undefined
  body: Buffer
}

/** fetch would unpack it. */
function read(app: TestApp, path: string, headers: Record<string, string>): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const call = request(
      { port: app.port, path, headers: { ...headers, authorization: `Bearer ${ADMIN_TOKEN}` } },
      async (answer) => {
        const pieces: Buffer[] = []
        for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece)
        resolve({ encoding: answer.headers['content-encoding'], body: Buffer.concat(pieces) })
      },
    )
    call.on('error', reject).end()
  })
}

describe('a long answer', () => {
  it('is compressed for whoever takes it so, and the same', async () => {
    await using app = await openTestApp()
    for (let index = 0; index < MACHINES; index++) {
      const mac = `52:54:00:00:01:${index.toString(16).padStart(2, '0')}`
      await app.call('PUT', `/api/machines/${mac}`, { name: `machine ${index}`, tags })
    }
    const plain = await read(app, '/api/machines', {})
    const packed = await read(app, '/api/machines', { 'accept-encoding': 'gzip, br' })
    assert.equal(plain.encoding, undefined)
    assert.equal(packed.encoding, 'gzip')
    assert.ok(packed.body.length < plain.body.length / 4)
    assert.deepEqual(
      JSON.parse(gunzipSync(packed.body).toString()),
      JSON.parse(plain.body.toString()),
    )
    const short = await read(app, '/api/session', { 'accept-encoding': 'gzip' })
    assert.equal(short.encoding, undefined)
  })

  it('that is no list keeps its length, which firmware needs', async () => {
    await using app = await openTestApp()
    await mkdir(join(app.dataFolder, 'boot'), { recursive: true })
    await writeFile(join(app.dataFolder, 'boot/kernel'), Buffer.alloc(100_000))
    const { encoding, body } = await read(app, '/boot/kernel', { 'accept-encoding': 'gzip' })
    assert.deepEqual([encoding, body.length], [undefined, 100_000])
  })
})
