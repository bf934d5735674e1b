import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, rm, truncate } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import { encodeManifest } from '#protocol/image/image.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'

const run = promisify(execFile)
const DISK = diskContent()
const AUTH = ['-H', `Authorization: Bearer ${ADMIN_TOKEN}`]

type Refusal = { error: { code: string; message: string } }

/** Runs a pipeline as an operator would, and fails like one with `pipefail`. */
async function shell(script: string, ...args: string[]): Promise<Buffer> {
  const { stdout } = await run('bash', ['-c', `set -o pipefail; ${script}`, 'bash', ...args], {
    encoding: 'buffer',
    maxBuffer: 64 * MIB,
    timeout: 60_000,
  })
  return stdout
}

/** Files in the chunk store, temporary ones included. */
async function storedFiles(app: TestApp): Promise<string[]> {
  const entries = await readdir(join(app.dataFolder, 'store'), {
    recursive: true,
    withFileTypes: true,
  })
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

/** Sweeps run in the background; this waits for one that finds nothing more to do. */
async function waitForFiles(app: TestApp, count: number): Promise<void> {
  const deadline = Date.now() + 60_000
  while ((await storedFiles(app)).length !== count) {
    assert.ok(Date.now() < deadline, `${(await storedFiles(app)).length} files, not ${count}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Announces more than it sends, and hangs up once something is stored. */
async function cutUpload(app: TestApp, path: string): Promise<void> {
  const upload = request({
    port: app.port,
    path,
    method: 'PUT',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-length': DISK.length },
  })
  upload.on('error', () => {})
  await new Promise((resolve) => upload.write(DISK.subarray(0, 4 * MIB), resolve))
  while ((await storedFiles(app)).length === 0)
    await new Promise((resolve) => setTimeout(resolve, 5))
  upload.destroy()
}

describe('images', () => {
  let app: TestApp
  before(async () => (app = await openTestApp()))
  after(() => app[Symbol.asyncDispose]())

  const put = (name: string, body: Uint8Array, query = '') =>
    app.call<Image & Refusal>('PUT', `/api/images/${name}${query}`, body)
  const exportUrl = (name: string) => `http://127.0.0.1:${app.port}/images/${name}.img.gz`

  it('an upload comes back byte by byte through curl and gunzip', async () => {
    const { status, body } = await put('round', DISK)
    assert.equal(status, 201)
    assert.partialDeepStrictEqual(body, { name: 'round', sizeBytes: DISK.length, sectorBytes: 512 })
    const content = await shell('curl -sf "$@" | gunzip', ...AUTH, exportUrl('round'))
    assert.equal(sha256(content), sha256(DISK))
  })

  it('has the same digest whatever it was wrapped in', async () => {
    const raw = await put('plain', DISK)
    const wrapped = await put('wrapped', gzipSync(DISK))
    assert.equal(wrapped.status, 201)
    assert.equal(wrapped.body.digest, raw.body.digest)
  })

  it('takes a body whatever it calls itself', async () => {
    for (const type of ['text/plain; charset=utf-8', 'application/json', 'an image', ';;']) {
      const options = { headers: { 'content-type': type } }
      const { status, body } = await app.call<Image>('POST', '/api/images/any', DISK, options)
      assert.deepEqual([status, body.sizeBytes], [201, DISK.length], type)
    }
  })

  it('takes the first file of a form, whatever its field is called', async () => {
    const form = new FormData()
    form.append('comment', 'not a file')
    form.append('BootyImage', new Blob([gzipSync(DISK)]), '52:54:00:12:34:56.zmg')
    const response = await fetch(`http://127.0.0.1:${app.port}/api/images/form`, {
      method: 'POST',
      body: form,
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    assert.equal(response.status, 201)
    const image = (await response.json()) as Image
    assert.equal(image.sizeBytes, DISK.length)
    assert.equal(image.info.source, 'upload of 52:54:00:12:34:56.zmg')
  })

  it('refuses a form that ends without its boundary, and one without a file', async () => {
    const headers = { 'content-type': 'multipart/form-data; boundary=xyz' }
    const head =
      '--xyz\r\nContent-Disposition: form-data; name="f"; filename="disk.img"\r\n' +
      'Content-Type: application/octet-stream\r\n\r\n'
    const post = (body: Buffer) =>
      app.call<Refusal>('POST', '/api/images/broken-form', body, { headers })
    const whole = Buffer.concat([
      Buffer.from(head),
      DISK,
      Buffer.from('\r\n--xyz--\r\n--xyz--\r\n'),
    ])
    const cut = whole.subarray(0, head.length + 2 * MIB)
    assert.equal((await post(cut)).status, 400)
    assert.equal((await post(Buffer.from('--xyz--\r\n'))).status, 400)
    assert.equal((await app.call('GET', '/api/images/broken-form')).status, 404)
    // BOOTy writes the closing boundary twice.
    assert.equal((await post(whole)).status, 201)
  })

  it('keeps of the name of the file in a form what a database can hold', async () => {
    const headers = { 'content-type': 'multipart/form-data; boundary=xyz' }
    const head = `--xyz\r\nContent-Disposition: form-data; name="f"; filename*=UTF-8''a%00b.img\r\n\r\n`
    const body = Buffer.concat([Buffer.from(head), DISK, Buffer.from('\r\n--xyz--\r\n')])
    const made = await app.call<Image>('POST', '/api/images/odd-name', body, { headers })
    assert.equal(made.status, 201)
    assert.equal(made.body.info.source, 'upload of a\uFFFDb.img')
  })

  it('refuses parts that are no form, whose boundaries would be on the disk', async () => {
    for (const type of [
      'multipart/mixed; boundary=xyz',
      'Multipart/Related',
      'multipart/form-dat',
    ]) {
      const options = { headers: { 'content-type': type } }
      const { status, body } = await app.call<Refusal>('PUT', '/api/images/parts', DISK, options)
      assert.deepEqual([status, body.error.code], [415, 'invalid-media-type'], type)
    }
    assert.equal((await app.call('GET', '/api/images/parts')).status, 404)
  })

  it('lists, reads and deletes', async () => {
    await put('short-lived', DISK)
    const { body } = await app.call<{ items: Image[] }>('GET', '/api/images')
    assert.ok(body.items.some(({ name }) => name === 'short-lived'))
    assert.equal((await app.call('DELETE', '/api/images/short-lived')).status, 204)
    assert.equal((await app.call('GET', '/api/images/short-lived')).status, 404)
    assert.equal((await app.call('DELETE', '/api/images/short-lived')).status, 404)
  })

  it('refuses what is no disk, and says why', async () => {
    const cases: [body: Uint8Array, status: number, code: string][] = [
      [new Uint8Array(), 422, 'empty-image'],
      [gzipSync(new Uint8Array()), 422, 'empty-image'],
      [new Uint8Array(1000), 422, 'odd-size'],
      [Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(4092)]), 422, 'unsupported-format'],
      [gzipSync(DISK).subarray(0, -9), 422, 'corrupt-upload'],
      [Buffer.concat([gzipSync(DISK), Buffer.from('junk')]), 422, 'corrupt-upload'],
    ]
    for (const [body, status, code] of cases) {
      const answer = await put('refused', body)
      assert.equal(answer.status, status, JSON.stringify(answer.body))
      assert.equal(answer.body.error.code, code)
    }
    assert.equal((await app.call('GET', '/api/images/refused')).status, 404)
    assert.equal((await put('Not_A_Name', DISK)).status, 400)
  })

  it('refuses more than the configured size, from a manifest too', async () => {
    await using small = await openTestApp({ env: { STAMPEDE_MAX_IMAGE_BYTES: '1024' } })
    const upload = await small.call<Refusal>('PUT', '/api/images/large', Buffer.alloc(1536, 1))
    assert.deepEqual([upload.status, upload.body.error.code], [413, 'image-too-large'])
    const manifest = (sizeBytes: number) =>
      encodeManifest({ sizeBytes, sectorBytes: 512, segments: [null] })
    const url = '/api/images/large/manifest'
    const refused = await small.call<Refusal>('PUT', url, manifest(1536))
    assert.deepEqual([refused.status, refused.body.error.code], [413, 'image-too-large'])
    assert.equal((await small.call('PUT', url, manifest(1024))).status, 201)
  })

  it('takes the sector size that the uploader gives', async () => {
    const { body } = await put('large-sectors', Buffer.alloc(8192, 1), '?sectorSize=4096')
    assert.equal(body.sectorBytes, 4096)
    const odd = await put('large-sectors', Buffer.alloc(4608, 1), '?sectorSize=4096')
    assert.equal(odd.body.error.code, 'odd-size')
  })

  it('an export uploaded again is the same image, and a cut one is refused', async () => {
    const { body } = await put('exported', DISK)
    const exported = await shell('curl -sf "$@"', ...AUTH, exportUrl('exported'))
    assert.equal((await put('again', exported)).body.digest, body.digest)

    // Cut before the last member: as gzip goes, that is a whole file.
    const { length } = await shell('curl -sf "$@"', ...AUTH, exportUrl('exported'))
    const cut = exported.subarray(0, length - lastMemberLength(exported))
    assert.equal(gunzipSync(cut).length, DISK.length - (DISK.length % MIB))
    const answer = await put('again', cut)
    assert.equal(answer.body.error.code, 'corrupt-upload')
    assert.match(answer.body.error.message, /cut short/)
    const twice = await put('again', Buffer.concat([exported, exported]))
    assert.equal(twice.body.error.code, 'corrupt-upload')
    assert.match(twice.body.error.message, /holds more than its image/)
  })

  it('keeps the older image when a newer upload of its name fails', async () => {
    const { body: older } = await put('kept', DISK)
    await put('kept', gzipSync(diskContent({ chunks: 5 })).subarray(0, -20))
    const { body: kept } = await app.call<Image>('GET', '/api/images/kept')
    assert.deepEqual(kept, older)
    const content = await shell('curl -sf "$@" | gunzip', ...AUTH, exportUrl('kept'))
    assert.equal(sha256(content), sha256(DISK))
  })
})

describe('exports', () => {
  let app: TestApp
  let whole: Buffer
  let url: string
  before(async () => {
    app = await openTestApp()
    await app.call('PUT', '/api/images/disk', DISK)
    url = `http://127.0.0.1:${app.port}/images/disk.img.gz`
    whole = await shell('curl -sf "$@"', ...AUTH, url)
  })
  after(() => app[Symbol.asyncDispose]())

  const get = (headers: Record<string, string>, method = 'GET') =>
    fetch(url, { method, headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers } })

  it('answers any range with the same bytes', async () => {
    for (let round = 0; round < 60; round++) {
      const start = Math.floor(Math.random() * whole.length)
      const end = start + 1 + Math.floor(Math.random() * (whole.length - start))
      const response = await get({ range: `bytes=${start}-${end - 1}` })
      assert.equal(response.status, 206)
      assert.equal(
        response.headers.get('content-range'),
        `bytes ${start}-${end - 1}/${whole.length}`,
      )
      assert.ok(
        Buffer.from(await response.arrayBuffer()).equals(whole.subarray(start, end)),
        `${start}-${end}`,
      )
    }
  })

  it('resumes with curl where it stopped', async () => {
    const part = join(app.dataFolder, 'part')
    await shell('curl -sf -r 0-1999999 -o "$1" "${@:2}"', part, ...AUTH, url)
    await shell('curl -sf -C - -o "$1" "${@:2}"', part, ...AUTH, url)
    assert.equal(sha256(await shell('cat "$1"', part)), sha256(whole))
  })

  it('tells its length, and HEAD says the same as GET', async () => {
    const head = await get({}, 'HEAD')
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-length'), String(whole.length))
    assert.equal(head.headers.get('accept-ranges'), 'bytes')
    assert.equal(head.headers.get('content-encoding'), null)
    assert.equal((await head.arrayBuffer()).byteLength, 0)
  })

  it('honours conditions', async () => {
    const etag = (await get({}, 'HEAD')).headers.get('etag')!
    assert.equal((await get({ 'if-none-match': etag })).status, 304)
    assert.equal((await get({ range: 'bytes=0-9', 'if-range': etag }, 'HEAD')).status, 206)
    assert.equal((await get({ range: 'bytes=0-9', 'if-range': '"other"' }, 'HEAD')).status, 200)
    const beyond = await get({ range: `bytes=${whole.length}-` })
    assert.equal(beyond.status, 416)
    assert.equal(beyond.headers.get('content-range'), `bytes */${whole.length}`)
    assert.equal(((await beyond.json()) as Refusal).error.code, 'range-not-satisfiable')
    const changed = await get({ 'if-match': '"other"' })
    assert.equal(changed.status, 412)
    assert.equal(((await changed.json()) as Refusal).error.code, 'image-changed')
  })

  it('breaks off, and never ends cleanly, when a chunk is damaged', async () => {
    const files = await storedFiles(app)
    const largest = join(app.dataFolder, 'store', sha256(DISK.subarray(MIB, 2 * MIB)).slice(0, 2))
    const [name] = await readdir(largest)
    assert.ok(files.includes(name!))
    await truncate(join(largest, name!), 1000)
    await assert.rejects(shell('curl -sf "$@"', ...AUTH, url))
    // Set aside by now, or soon.
    await rm(join(largest, name!), { force: true })
    await assert.rejects(shell('curl -sf "$@" | gunzip', ...AUTH, url))
    // Mended by whoever has the content, as soon as the server has looked.
    assert.equal((await app.call('PUT', '/api/images/mended', DISK)).status, 201)
    while ((await get({}, 'HEAD')).status !== 200) await new Promise((done) => setTimeout(done, 50))
    assert.equal(sha256(gunzipSync(await shell('curl -sf "$@"', ...AUTH, url))), sha256(DISK))
  })
})

describe('garbage', () => {
  it('is gone after an image was deleted, and what others share stays', async () => {
    await using app = await openTestApp()
    const other = Buffer.concat([DISK.subarray(0, 2 * MIB), Buffer.alloc(MIB, 'other')])
    await app.call('PUT', '/api/images/one', DISK)
    const alone = (await storedFiles(app)).length
    await app.call('PUT', '/api/images/other', other)
    await app.call('DELETE', '/api/images/other')
    await waitForFiles(app, alone)
    await app.call('DELETE', '/api/images/one')
    await waitForFiles(app, 0)
  })

  it('is gone after an upload that failed or was cut off', async () => {
    await using app = await openTestApp()
    await app.call('PUT', '/api/images/bad', gzipSync(DISK).subarray(0, -1))
    await waitForFiles(app, 0)
    await cutUpload(app, '/api/images/cut')
    await waitForFiles(app, 0)
    assert.equal((await app.call('GET', '/api/images/cut')).status, 404)
  })
})

/** Members of an export begin with our fixed header; the last one is that of the short last chunk. */
function lastMemberLength(exported: Buffer): number {
  for (let start = exported.length - 20; start > 0; start--) {
    if (exported.readUInt32BE(start) >>> 8 !== 0x1f8b08) continue
    try {
      if (gunzipSync(exported.subarray(start)).length === DISK.length % MIB)
        return exported.length - start
    } catch {
      // Three bytes that only look like a header.
    }
  }
  throw new Error('No last member')
}
