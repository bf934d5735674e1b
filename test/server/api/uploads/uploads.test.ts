import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import type { Upload } from '#protocol/image/upload.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { openServerProcess } from '#test/support/server-process.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { answerTo, createUploadClient } from '#test/support/upload-client.ts'

type Refusal = { error: { code: string; message: string; details?: { upload?: Upload } } }

const DEADLINE_MILLISECONDS = 60_000
const DISK = diskContent({ chunks: 6 })

function clientOf(app: TestApp) {
  return createUploadClient({ url: `http://127.0.0.1:${app.port}`, token: ADMIN_TOKEN })
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

/** Chunks, temporary files and spooled ones. */
async function storedFiles(app: { dataFolder: string }): Promise<string[]> {
  const folders = ['store', 'spool'].map((name) => filesIn(join(app.dataFolder, name)))
  return (await Promise.all(folders)).flat()
}

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MILLISECONDS
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, `Not in time: ${what}`)
    await sleep(20)
  }
}

const nothingStored = (app: { dataFolder: string }) =>
  waitFor('nothing left in the store', async () => (await storedFiles(app)).length === 0)

/** The disk as each kind of file that is taken. */
function filesOf(disk: Buffer): Record<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-formats-'))
  try {
    const raw = join(folder, 'disk.raw')
    writeFileSync(raw, disk)
    const qcow2 = (name: string, ...flags: string[]) => {
      execFileSync('qemu-img', ['convert', ...flags, '-O', 'qcow2', raw, join(folder, name)])
      return readFileSync(join(folder, name))
    }
    const packed = qcow2('packed.qcow2', '-c')
    return {
      raw: disk,
      gzip: gzipSync(disk),
      'gzip of two members': Buffer.concat([
        gzipSync(disk.subarray(0, 2 * MIB)),
        gzipSync(disk.subarray(2 * MIB)),
      ]),
      zstd: zstdCompressSync(disk),
      xz: execFileSync('xz', ['-c', '-1', raw], { maxBuffer: 64 * MIB }),
      bzip2: execFileSync('bzip2', ['-c', '-1', raw], { maxBuffer: 64 * MIB }),
      qcow2: qcow2('plain.qcow2'),
      'compressed qcow2': packed,
      'gzip of a qcow2': gzipSync(packed),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('an upload in pieces', () => {
  let app: TestApp
  let whole: Image
  before(async () => {
    app = await openTestApp()
    whole = (await app.call<Image>('PUT', '/api/images/whole', DISK)).body
  })
  after(() => app[Symbol.asyncDispose]())

  for (const [format, file] of Object.entries(filesOf(DISK)))
    it(`of ${format}, cut anywhere, becomes the same image as a whole one`, async () => {
      const client = clientOf(app)
      const name = format.replaceAll(' ', '-')
      const { id } = await client.begin({ name, sizeBytes: file.length })
      const history: string[] = []
      const upTo = (most: number) => Math.floor(Math.random() * (most + 1))
      for (let round = 0; round < 12; round++) {
        const { offset } = await client.head(id)
        const piece = file.subarray(offset, offset + upTo(file.length / 8))
        if (piece.length === 0 || offset + piece.length === file.length) continue
        history.push(`${round % 3 === 2 ? 'whole' : 'cut'} ${offset}+${piece.length}`)
        if (round % 3 < 2) await client.sendCut(id, offset, piece)
        else {
          const answer = await client.send(id, offset, piece)
          const isRight = answer.status === 204 && answer.offset === offset + piece.length
          // Bytes of a connection that was cut may still come in after HEAD was answered.
          assert.ok(isRight || answer.body.error.code === 'wrong-offset', JSON.stringify(answer))
        }
      }
      const { status, body } = await client.finish(id, file)
      assert.equal(status, 201, `${JSON.stringify(body)} after ${history.join(', ')}`)
      assert.equal(body.digest, whole.digest, history.join(', '))
    })

  it('is told its place, and shown while it is open', async () => {
    const client = clientOf(app)
    const created = await app.call<Upload>('POST', '/api/uploads', {
      name: 'shown',
      sizeBytes: DISK.length,
      fileName: 'disk of the lab.img',
      description: 'For the tests',
    })
    assert.equal(created.status, 201)
    assert.equal(created.headers.get('location'), `/api/uploads/${created.body.id}`)
    assert.equal(created.body.expiresAt, '2026-05-01T12:15:00.000Z')
    const { id } = created.body
    assert.deepEqual(await client.head(id), { status: 200, offset: 0 })
    const first = await client.send(id, 0, DISK.subarray(0, 1000))
    assert.deepEqual([first.status, first.offset], [204, 1000])
    const { body: list } = await app.call<{ items: Upload[] }>('GET', '/api/uploads')
    assert.partialDeepStrictEqual(list.items, [
      { id, offset: 1000, sizeBytes: DISK.length, state: 'receiving' },
    ])
    assert.equal((await app.call('GET', '/api/images/shown')).status, 404)

    const { status, body } = await client.finish(id, DISK)
    assert.equal(status, 201)
    assert.partialDeepStrictEqual(body, {
      name: 'shown',
      fileName: 'disk of the lab.img',
      description: 'For the tests',
      info: { source: 'upload of disk of the lab.img' },
    })
    const { body: after } = await app.call<{ items: Upload[] }>('GET', '/api/uploads')
    assert.deepEqual(after.items, [])
    // Whoever missed the answer to the last piece asks again.
    assert.deepEqual(await client.head(id), { status: 200, offset: DISK.length })
    const again = await client.send(id, DISK.length, Buffer.alloc(0))
    assert.deepEqual([again.status, again.body.digest], [201, body.digest])
  })

  it('refuses a piece that begins elsewhere, and says where to go on', async () => {
    const client = clientOf(app)
    const { id } = await client.begin({ name: 'elsewhere', sizeBytes: DISK.length })
    await client.send(id, 0, DISK.subarray(0, 5000))
    for (const offset of [0, 4999, 5001]) {
      const answer = await client.send(id, offset, DISK.subarray(offset, offset + 100))
      assert.deepEqual([answer.status, answer.body.error.code], [409, 'wrong-offset'])
      assert.equal(answer.offset, 5000)
    }
    const without = await app.call<Refusal>('PATCH', `/api/uploads/${id}`, DISK.subarray(5000))
    assert.equal(without.status, 400)
    assert.equal((await client.finish(id, DISK)).body.digest, whole.digest)
  })

  it('goes on over a new connection while the old one hangs', async () => {
    const client = clientOf(app)
    const { id } = await client.begin({ name: 'hanging', sizeBytes: DISK.length })
    const hanging = client.open(id, 0, DISK.length)
    const ended = new Promise<Error>((resolve) => hanging.once('error', resolve))
    hanging.write(DISK.subarray(0, 3 * MIB))
    await waitFor('what was sent', async () => (await client.head(id)).offset === 3 * MIB)
    const { status, body } = await client.send(id, 3 * MIB, DISK.subarray(3 * MIB))
    assert.equal(status, 201)
    assert.equal(body.digest, whole.digest)
    await ended
  })

  it('that is damaged is refused at that piece, and gone', async () => {
    const client = clientOf(app)
    // Two members, the first with a wrong checksum: damage that shows at one place for sure.
    const first = gzipSync(randomBytes(MIB))
    first[first.length - 6]! ^= 1
    const file = Buffer.concat([first, gzipSync(DISK)])
    const { id } = await client.begin({ name: 'damaged', sizeBytes: file.length })
    assert.equal((await client.send(id, 0, file.subarray(0, 500_000))).status, 204)
    const end = first.length + 1000
    const refused = await client.send(id, 500_000, file.subarray(500_000, end))
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'corrupt-upload'])
    const { body: list } = await app.call<{ items: Upload[] }>('GET', '/api/uploads')
    assert.deepEqual(list.items, [])
    assert.equal((await client.head(id)).status, 422)
    assert.equal((await client.send(id, 0, file)).status, 422)
    assert.equal((await app.call('GET', '/api/images/damaged')).status, 404)
  })

  it('that is longer than it said is refused, and gone', async () => {
    const client = clientOf(app)
    const { id } = await client.begin({ name: 'longer', sizeBytes: 10_000 })
    const refused = await client.send(id, 0, DISK.subarray(0, 20_000))
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'upload-too-long'])
    assert.equal((await app.call('GET', '/api/images/longer')).status, 404)
  })

  it('is open once for each name, and the older one can be gone on with', async () => {
    const client = clientOf(app)
    const { id } = await client.begin({ name: 'twice', sizeBytes: DISK.length })
    const request = { name: 'twice', sizeBytes: 512 }
    const second = await app.call<Refusal>('POST', '/api/uploads', request)
    assert.deepEqual([second.status, second.body.error.code], [409, 'upload-open'])
    assert.equal(second.body.error.details?.upload?.id, id)
    assert.equal((await app.call('DELETE', `/api/uploads/${id}`)).status, 204)
    const third = await app.call<Upload>('POST', '/api/uploads', request)
    assert.equal(third.status, 201)
    await app.call('DELETE', `/api/uploads/${third.body.id}`)
  })
})

describe('an upload that is not gone on with', () => {
  let app: TestApp
  before(async () => (app = await openTestApp()))
  after(() => app[Symbol.asyncDispose]())

  async function beginPart(name: string) {
    const client = clientOf(app)
    const { id } = await client.begin({ name, sizeBytes: DISK.length })
    await client.send(id, 0, DISK.subarray(0, 3 * MIB))
    await waitFor('chunks', async () => (await storedFiles(app)).length > 0)
    return { id, client }
  }

  it('is gone after fifteen idle minutes, says so for a while, and leaves nothing', async () => {
    const { id, client } = await beginPart('idle')
    app.clock.advance(14 * 60)
    assert.equal((await client.send(id, 3 * MIB, DISK.subarray(3 * MIB, 3 * MIB + 10))).status, 204)
    app.clock.advance(14 * 60)
    assert.equal((await client.head(id)).status, 200)
    app.clock.advance(61)
    const late = await client.send(id, 3 * MIB + 10, DISK.subarray(3 * MIB + 10))
    assert.deepEqual([late.status, late.body.error.code], [410, 'upload-expired'])
    assert.equal((await client.head(id)).status, 410)
    await nothingStored(app)
    app.clock.advance(3601)
    assert.equal((await client.head(id)).status, 404)
  })

  it('leaves nothing when it is cancelled, even while a piece is on its way', async () => {
    const { id, client } = await beginPart('cancelled')
    const hanging = client.open(id, 3 * MIB, DISK.length)
    const ended = new Promise<unknown>((resolve) => {
      hanging.once('error', resolve)
      hanging.once('response', resolve)
    })
    hanging.write(DISK.subarray(3 * MIB, 4 * MIB))
    await waitFor('the piece', async () => (await client.head(id)).offset === 4 * MIB)
    assert.equal((await app.call('DELETE', `/api/uploads/${id}`)).status, 204)
    await ended
    const gone = await client.send(id, 4 * MIB, DISK.subarray(4 * MIB))
    assert.deepEqual([gone.status, gone.body.error.code], [410, 'upload-cancelled'])
    await nothingStored(app)
  })

  it('of a qcow2 file leaves no spooled file', async () => {
    const file = filesOf(DISK)['qcow2']!
    const client = clientOf(app)
    const { id } = await client.begin({ name: 'spooled', sizeBytes: file.length })
    await client.send(id, 0, file.subarray(0, 2 * MIB))
    assert.equal((await filesIn(join(app.dataFolder, 'spool'))).length, 1)
    assert.equal((await app.call('DELETE', `/api/uploads/${id}`)).status, 204)
    await nothingStored(app)
  })

  it('counts against a limit, and whoever comes beyond it is told to wait', async () => {
    const client = clientOf(app)
    const ids: string[] = []
    for (let index = 0; index < 8; index++)
      ids.push((await client.begin({ name: `open-${index}`, sizeBytes: 512 })).id)
    const request = { name: 'one-more', sizeBytes: 512 }
    const refused = await app.call<Refusal>('POST', '/api/uploads', request)
    assert.deepEqual([refused.status, refused.body.error.code], [503, 'too-many-uploads'])
    assert.match(refused.headers.get('retry-after')!, /^\d+$/)
    // Those that wait for pieces never keep out one that comes at once.
    assert.equal((await app.call('PUT', '/api/images/at-once', DISK)).status, 201)
    for (const id of ids) await app.call('DELETE', `/api/uploads/${id}`)
    assert.equal((await app.call('POST', '/api/uploads', request)).status, 201)
    await app.call('DELETE', '/api/images/at-once')
  })

  it('is no upload if nobody ever began it', async () => {
    const unknown = 'ffffffff-ffff-7fff-bfff-ffffffffffff'
    assert.equal((await app.call('GET', `/api/uploads/${unknown}`)).status, 404)
    assert.equal((await app.call('DELETE', `/api/uploads/${unknown}`)).status, 404)
    assert.equal((await app.call('GET', '/api/uploads/nothing')).status, 400)
  })
})

describe('a server that stops', () => {
  it('gives open uploads up at once, and leaves nothing of them', async () => {
    const app = await openTestApp()
    try {
      const client = clientOf(app)
      const { id } = await client.begin({ name: 'stopped', sizeBytes: DISK.length })
      const hanging = client.open(id, 0, DISK.length)
      const answered = answerTo(hanging).catch((err: unknown) => err)
      hanging.write(DISK.subarray(0, 2 * MIB))
      await waitFor('the piece', async () => (await client.head(id)).offset === 2 * MIB)
      const started = Date.now()
      await app.http.close()
      await answered
      // Not by the limit after which connections are cut.
      assert.ok(Date.now() - started < 7000, `${Date.now() - started} ms`)
    } finally {
      await app[Symbol.asyncDispose]()
    }
  })

  it('by kill -9 says of older uploads that they are lost, and sweeps what is left', async () => {
    await using server = await openServerProcess()
    const client = createUploadClient(server)
    const { id } = await client.begin({ name: 'lost', sizeBytes: DISK.length })
    await client.send(id, 0, DISK.subarray(0, 4 * MIB))
    await waitFor('chunks', async () => (await storedFiles(server)).length > 0)
    await server.kill()
    await server.start()
    assert.equal((await client.head(id)).status, 410)
    const lost = await client.send(id, 4 * MIB, DISK.subarray(4 * MIB))
    assert.deepEqual([lost.status, lost.body.error.code], [410, 'upload-lost'])
    assert.match(lost.body.error.message, /begin anew/)
    await nothingStored(server)
    const { id: next } = await client.begin({ name: 'lost', sizeBytes: DISK.length })
    assert.equal((await client.finish(next, DISK)).status, 201)
    const response = await fetch(`${server.url}/images/lost.img.gz`, {
      headers: { authorization: `Bearer ${server.token}` },
    })
    assert.equal(sha256(gunzipSync(await response.arrayBuffer())), sha256(DISK))
  })
})
