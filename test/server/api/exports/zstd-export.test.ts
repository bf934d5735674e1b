import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { gunzipSync, zstdCompressSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import {
  CHUNK_BYTES,
  encodeManifest,
  encodeSegment,
  type ChunkReference,
} from '#protocol/image/image.ts'
import { zeroFrame } from '#server/images/codec/plain-frame.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const authorization = `Bearer ${ADMIN_TOKEN}`
const DISK = diskContent({ chunks: 11 })

/** As an agent captures: zstd frames, with an unused chunk among them. */
async function capture(app: TestApp, name: string, disk: Buffer): Promise<Image> {
  const references: ChunkReference[] = []
  for (let start = 0; start < disk.length; start += CHUNK_BYTES) {
    const content = disk.subarray(start, start + CHUNK_BYTES)
    if (content.every((byte) => byte === 0)) {
      references.push(references.includes('unused') ? 'zero' : 'unused')
      continue
    }
    references.push(await put(app, content))
  }
  const segments = [await put(app, encodeSegment(references))]
  const manifest = encodeManifest({ sizeBytes: disk.length, sectorBytes: 512, segments })
  const { status, body } = await app.call<Image>('PUT', `/api/images/${name}/manifest`, manifest, {
    headers: { 'content-type': 'application/vnd.stampede.image.v1+json' },
  })
  assert.equal(status, 201, JSON.stringify(body))
  return body
}

async function put(app: TestApp, content: Uint8Array) {
  const hash = sha256(content)
  const { status } = await app.call('PUT', `/chunks/${hash}`, zstdCompressSync(content))
  assert.ok(status === 201 || status === 200)
  return hash
}

const unzstd = (bytes: Uint8Array) =>
  execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 64 * MIB, stdio: 'pipe' })

describe('an image as .img.zst', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp()
    await app.call('PUT', '/api/images/imported', DISK)
    await capture(app, 'captured', DISK)
  })
  after(() => app[Symbol.asyncDispose]())

  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(`http://127.0.0.1:${app.port}${path}`, { method, headers: { authorization, ...headers } })
  const bytesOf = async (path: string, headers = {}) =>
    Buffer.from(await (await get(path, headers)).arrayBuffer())

  for (const name of ['imported', 'captured'])
    it(`is what "zstd -dc" reads, in the length that was said (${name})`, async () => {
      const head = await get(`/images/${name}.img.zst`, {}, 'HEAD')
      assert.equal(head.headers.get('content-type'), 'application/zstd')
      const file = await bytesOf(`/images/${name}.img.zst`)
      assert.equal(head.headers.get('content-length'), String(file.length))
      assert.ok(unzstd(file).equals(DISK))
      assert.ok(gunzipSync(await bytesOf(`/images/${name}.img.gz`)).equals(DISK))
    })

  it('answers every range with the bytes of the whole', async () => {
    for (const name of ['imported', 'captured']) {
      const path = `/images/${name}.img.zst`
      const whole = await bytesOf(path)
      for (const start of [0, 1, 55, 56, 57, 131_200, MIB, whole.length - 60, whole.length - 1]) {
        const end = Math.min(whole.length, start + 300_000)
        const part = await bytesOf(path, { range: `bytes=${start}-${end - 1}` })
        assert.ok(part.equals(whole.subarray(start, end)), `${name} from ${start}`)
      }
    }
  })

  it('has an ETag of its own, which If-Range and If-None-Match honour', async () => {
    const path = '/images/captured.img.zst'
    const etag = (await get(path)).headers.get('etag')!
    assert.notEqual(etag, (await get('/images/captured.img.gz')).headers.get('etag'))
    assert.equal((await get(path, { 'if-none-match': etag })).status, 304)
    const range = 'bytes=100-199'
    assert.equal((await get(path, { range, 'if-range': etag })).status, 206)
    assert.equal((await get(path, { range, 'if-range': '"another"' })).status, 200)
  })

  it('passes frames of a capture as they are', async () => {
    const random = DISK.subarray(MIB, 2 * MIB)
    const file = await bytesOf('/images/captured.img.zst')
    assert.ok(file.includes(zstdCompressSync(random).subarray(0, 4096)))
  })

  it('goes out by a link', async () => {
    const { body } = await app.call<{ url: string }>('POST', '/api/images/captured/links')
    const path = new URL(body.url).pathname.replace(/\.img\.gz$/, '.img.zst')
    const answer = await fetch(`http://127.0.0.1:${app.port}${path}`)
    assert.ok(unzstd(Buffer.from(await answer.arrayBuffer())).equals(DISK))
  })

  it('becomes the same image again when it is imported', async () => {
    const before = (await app.call<Image>('GET', '/api/images/imported')).body
    const file = await bytesOf('/images/imported.img.zst')
    const { status, body } = await app.call<Image>('PUT', '/api/images/again', file)
    assert.equal(status, 201, JSON.stringify(body))
    assert.equal(body.digest, before.digest)
  })

  it('is refused when it was cut, between two frames as well', async () => {
    const file = await bytesOf('/images/imported.img.zst')
    const last = zstdLastFrame(file)
    for (const length of [30, 56, 100, last, last + 10, file.length - 1]) {
      const cut = file.subarray(0, length)
      const { status, body } = await app.call<{ error: { code: string } }>(
        'PUT',
        '/api/images/cut',
        cut,
      )
      assert.equal(status, 422, `${length}: ${JSON.stringify(body)}`)
    }
  })

  it('is refused when its content is not that of its digest', async () => {
    await app.call('PUT', '/api/images/full', diskContent({ chunks: 2 }))
    const file = await bytesOf('/images/full.img.zst')
    file[file.length - 600]! ^= 1
    assert.equal((await app.call('PUT', '/api/images/flipped', file)).status, 422)
  })

  it('of zeros alone is small, and is read', async () => {
    const zeros = Buffer.alloc(40 * MIB)
    await app.call('PUT', '/api/images/zeros', zeros)
    const file = await bytesOf('/images/zeros.img.zst')
    assert.ok(file.length < 40 * 60)
    const sum = createHash('sha256').update(
      execFileSync('zstd', ['-dc'], { input: file, maxBuffer: 400 * MIB }),
    )
    assert.equal(sum.digest('hex'), sha256(zeros))
    const { body } = await app.call<Image>('PUT', '/api/images/zeros-again', file)
    assert.equal(body.sizeBytes, zeros.length)
  })

  it('holds zeros in frames that old decoders take: the first block is no run', () => {
    for (const length of [512, 4096, 131_072, 131_073, MIB]) {
      const frame = zeroFrame(length)
      assert.equal((frame[9]! >> 1) & 3, 0)
      assert.ok(unzstd(frame).equals(Buffer.alloc(length)))
    }
  })
})

/** Where the frame of the last, short chunk begins; it holds that content as it is. */
function zstdLastFrame(file: Buffer): number {
  return file.lastIndexOf(Buffer.of(0x28, 0xb5, 0x2f, 0xfd))
}
