import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { constants, gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import { encodeManifest, encodeSegment } from '#protocol/image/image.ts'
import { UPLOAD_HEADER } from '#protocol/image/upload-header.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'

const CHUNK = Buffer.alloc(MIB, 'content of a chunk ')
const HASH = sha256(CHUNK)
const ZEROS = Buffer.alloc(MIB)
const CHECKED = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }

type Refusal = {
  error: { code: string; message: string; details: { missing: string[] } }
  missing: string[]
}

describe('chunks', () => {
  let app: TestApp
  before(async () => (app = await openTestApp()))
  after(() => app[Symbol.asyncDispose]())

  const put = (hash: string, body: Uint8Array) => app.call<Refusal>('PUT', `/chunks/${hash}`, body)
  const missing = async (...hashes: string[]) =>
    (await app.call<{ missing: string[] }>('POST', '/chunks/missing', { sha256: hashes })).body
      .missing

  it('refuses anything but one whole member or frame of the right content, and stores nothing', async () => {
    const member = gzipSync(CHUNK)
    const frame = zstdCompressSync(CHUNK, CHECKED)
    const wrong = Buffer.from(frame)
    wrong[wrong.length - 1]! ^= 1
    const flipped = Buffer.from(member)
    flipped[member.length - 6]! ^= 1
    const cases: Record<string, Uint8Array> = {
      'other content': gzipSync(ZEROS),
      'two members': Buffer.concat([member, gzipSync(new Uint8Array())]),
      'the content in two members': Buffer.concat([
        gzipSync(CHUNK.subarray(0, 1000)),
        gzipSync(CHUNK.subarray(1000)),
      ]),
      'trailing junk': Buffer.concat([member, Buffer.from('junk')]),
      'trailing zeros': Buffer.concat([member, Buffer.alloc(3)]),
      'a cut member': member.subarray(0, -1),
      'a wrong checksum': flipped,
      'no gzip': CHUNK,
      'a frame of other content': zstdCompressSync(ZEROS),
      'two frames': Buffer.concat([frame, zstdCompressSync(new Uint8Array())]),
      'a frame and a member': Buffer.concat([frame, member]),
      'a frame and junk': Buffer.concat([frame, Buffer.from('junk')]),
      'a cut frame': frame.subarray(0, -1),
      'the head of a frame': frame.subarray(0, 5),
      'a frame with a wrong checksum': wrong,
      'a frame with too much content': zstdCompressSync(Buffer.alloc(MIB + 1)),
      'a frame that is a bomb': zstdCompressSync(Buffer.alloc(64 * MIB)),
      nothing: new Uint8Array(),
      'too much content': gzipSync(Buffer.alloc(MIB + 1)),
      'a bomb': gzipSync(Buffer.alloc(64 * MIB), { level: 9 }),
      'a body without end': Buffer.alloc(4 * MIB, 1),
    }
    for (const [name, body] of Object.entries(cases)) {
      const { status, body: answer } = await put(HASH, body)
      assert.equal(status, 422, name)
      assert.match(answer.error.message, /^The chunk/, name)
      assert.deepEqual(await missing(HASH), [HASH], name)
    }
    assert.equal((await put('not-a-hash', member)).status, 400)
  })

  it('stores a chunk once and serves it as it came', async () => {
    const content = Buffer.alloc(MIB, 'served as it came')
    const hash = sha256(content)
    const first = gzipSync(content, { level: 9 })
    assert.equal((await app.call('HEAD', `/chunks/${hash}`)).status, 404)
    assert.equal((await app.call('GET', `/chunks/${hash}`)).status, 404)
    assert.equal((await put(hash, first)).status, 201)
    assert.equal((await put(hash, gzipSync(content, { level: 1 }))).status, 200)
    assert.equal((await put(hash, Buffer.from('not even looked at'))).status, 200)
    const response = await fetch(`http://127.0.0.1:${app.port}/chunks/${hash}`, {
      headers: { authorization: `Bearer ${app.adminToken.token}` },
    })
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(first))
    const head = await app.call('HEAD', `/chunks/${hash}`)
    assert.equal(head.headers.get('content-length'), String(first.length))
    assert.deepEqual(await missing(hash, HASH), [HASH])
  })

  it('takes a zstd frame as well, keeps it, and exports it as a gzip member', async () => {
    const content = Buffer.alloc(MIB, 'kept as a frame')
    const hash = sha256(content)
    const other = Buffer.alloc(MIB, 'beside the frame')
    const frame = zstdCompressSync(content, CHECKED)
    assert.equal((await put(hash, frame)).status, 201)
    assert.equal((await put(hash, gzipSync(content))).status, 200)
    const head = await app.call('HEAD', `/chunks/${hash}`)
    assert.equal(head.headers.get('content-type'), 'application/zstd')
    assert.equal(head.headers.get('content-length'), String(frame.length))
    const segment = Buffer.from(encodeSegment([hash, 'zero', sha256(other)]))
    for (const bytes of [segment, other]) await put(sha256(bytes), gzipSync(bytes))
    const manifest = Buffer.from(
      encodeManifest({ sizeBytes: 3 * MIB, sectorBytes: 512, segments: [sha256(segment)] }),
    )
    assert.equal((await app.call('PUT', '/api/images/mixed/manifest', manifest)).status, 201)
    const headers = { authorization: `Bearer ${app.adminToken.token}` }
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${app.port}${path}`, { headers })
      assert.equal(response.status, 200)
      return Buffer.from(await response.arrayBuffer())
    }
    assert.ok((await get(`/chunks/${hash}`)).equals(frame))
    const exported = gunzipSync(await get('/images/mixed.img.gz'))
    assert.ok(exported.equals(Buffer.concat([content, ZEROS, other])))
  })

  it('makes an image only once every chunk of its manifest is there', async () => {
    const short = Buffer.alloc(512, 'short')
    const segment = Buffer.from(encodeSegment([sha256(CHUNK), 'zero', 'unused', sha256(short)]))
    const manifest = Buffer.from(
      encodeManifest({ sizeBytes: 3 * MIB + 512, sectorBytes: 512, segments: [sha256(segment)] }),
    )
    const commit = () => app.call<Image & Refusal>('PUT', '/api/images/by-hand/manifest', manifest)

    for (const content of [segment, CHUNK, short]) {
      const { status, body } = await commit()
      assert.equal(status, 409)
      assert.ok(body.missing.includes(sha256(content)))
      assert.deepEqual(body.error.details.missing, body.missing)
      assert.equal((await app.call('GET', '/api/images/by-hand')).status, 404)
      assert.equal((await put(sha256(content), gzipSync(content))).status, 201)
    }
    const { status, body: image } = await commit()
    assert.equal(status, 201)
    assert.equal(image.digest, sha256(manifest))
    assert.equal(image.contentBytes, MIB + 512)
    const served = await app.call<string>('GET', `/images/by-digest/${image.digest}`)
    assert.deepEqual(served.body, JSON.parse(manifest.toString()))
  })

  it('commits an image together with what is known of it, or not at all', async () => {
    const segment = encodeSegment([HASH])
    const manifest = Buffer.from(
      encodeManifest({ sizeBytes: MIB, sectorBytes: 512, segments: [sha256(segment)] }),
    )
    for (const content of [CHUNK, segment]) await put(sha256(content), gzipSync(content))
    const commit = (info: unknown) =>
      app.call<Image & Refusal>(
        'PUT',
        `/api/images/known/manifest?info=${sha256(Buffer.from(JSON.stringify(info)))}`,
        manifest,
      )
    // A NUL is nothing that a database could keep.
    const known = { partitionTable: 'gpt', bootModes: ['uefi'], operatingSystem: 'Odd\uFFFD13' }
    const info = { ...known, operatingSystem: 'Odd\u000013' }
    const early = await commit(info)
    assert.equal(early.status, 409)
    assert.equal(early.body.missing.length, 1)
    for (const one of [info, { bootModes: 'all' }]) {
      const bytes = Buffer.from(JSON.stringify(one))
      assert.equal((await put(sha256(bytes), gzipSync(bytes))).status, 201)
    }
    const refused = await commit({ bootModes: 'all' })
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'refused-info'])
    assert.equal((await app.call('GET', '/api/images/known')).status, 404)
    const { status, body } = await commit(info)
    assert.equal(status, 201)
    assert.deepEqual(body.info, known)
  })

  it('are kept for one capture of somebody while another of theirs ends', async () => {
    const headers = { [UPLOAD_HEADER]: randomUUID() }
    const content = Buffer.alloc(MIB, 'of a capture that goes on ')
    const hash = sha256(content)
    const stored = await app.call('PUT', `/chunks/${hash}`, gzipSync(content), { headers })
    assert.equal(stored.status, 201)

    const segments = [null]
    const manifest = encodeManifest({ sizeBytes: MIB, sectorBytes: 512, segments })
    const ended = await app.call('PUT', '/api/images/ended/manifest', manifest, {
      headers: { [UPLOAD_HEADER]: randomUUID(), 'content-type': 'application/octet-stream' },
    })
    assert.equal(ended.status, 201, JSON.stringify(ended.body))
    assert.equal((await app.call('POST', '/api/store/sweep')).status, 200)
    assert.equal((await app.call('HEAD', `/chunks/${hash}`)).status, 200)
  })

  it('are kept for whoever reads them by hand, though the image is deleted meanwhile', async () => {
    const content = Buffer.alloc(MIB, 'of an image that is being deployed ')
    const uploaded = await app.call<{ digest: string }>('PUT', '/api/images/leaving', content)
    const { digest } = uploaded.body
    const headers = { [UPLOAD_HEADER]: randomUUID() }
    const read = async (path: string) =>
      (await app.call('GET', path, undefined, { headers })).status
    assert.equal(await read(`/images/by-digest/${digest}`), 200)
    assert.equal((await app.call('DELETE', '/api/images/leaving')).status, 204)
    assert.equal((await app.call('POST', '/api/store/sweep')).status, 200)
    assert.equal(await read(`/chunks/${sha256(content)}`), 200)
    assert.equal(await read(`/images/by-digest/${digest}`), 200)
  })

  it('refuses manifests that cannot be', async () => {
    await put(sha256(CHUNK), gzipSync(CHUNK))
    const stored = async (...references: Parameters<typeof encodeSegment>[0]) => {
      const segment = encodeSegment(references)
      await put(sha256(segment), gzipSync(segment))
      return sha256(segment)
    }
    const base = { sizeBytes: 2 * MIB, sectorBytes: 512 as const }
    const good = await stored(sha256(CHUNK), 'zero')
    const cases: Record<string, unknown> = {
      'a segment too many': encodeManifest({ ...base, segments: [good, null] }),
      'no segments': encodeManifest({ ...base, segments: [] }),
      'a size that is no multiple of a sector': encodeManifest({
        ...base,
        sizeBytes: MIB + 100,
        segments: [good],
      }),
      'a segment that is too short': encodeManifest({
        ...base,
        segments: [await stored(sha256(CHUNK))],
      }),
      'a segment of zeros': encodeManifest({ ...base, segments: [await stored('zero', 'zero')] }),
      'a long chunk in a short place': encodeManifest({
        ...base,
        sizeBytes: MIB + 512,
        segments: [await stored('zero', sha256(CHUNK))],
      }),
      'an unknown property': Buffer.from(
        JSON.stringify({
          ...JSON.parse(new TextDecoder().decode(encodeManifest({ ...base, segments: [good] }))),
          more: 1,
        }),
      ),
      'no JSON': Buffer.from('{'),
      nothing: new Uint8Array(),
    }
    for (const [name, body] of Object.entries(cases)) {
      const answer = await app.call<Refusal>('PUT', '/api/images/refused/manifest', body)
      assert.equal(answer.status, 422, `${name}: ${JSON.stringify(answer.body)}`)
    }
  })

  it('asks for a token', async () => {
    for (const [method, path] of [
      ['GET', `/chunks/${HASH}`],
      ['PUT', `/chunks/${HASH}`],
      ['GET', '/images/any.img.gz'],
      ['GET', `/images/by-digest/${HASH}`],
      ['PUT', '/api/images/any'],
      ['PUT', '/api/images/any/manifest'],
    ] as const)
      assert.equal((await app.call(method, path, undefined, { token: null })).status, 401, path)
  })
})
