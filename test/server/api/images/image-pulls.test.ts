import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import type { ImagePull } from '#protocol/image/image-pull.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { failLostPulls, findPull, insertPull } from '#server/db/images/image-pulls.ts'
import { isRefusedAddress } from '#server/images/import/pull-address.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { diskContent, MIB } from '#test/support/disk-content.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type Refusal = { error: { code: string; message: string } }
type Handler = (request: IncomingMessage, response: ServerResponse) => void

const DISK = diskContent({ chunks: 4 })
const FILE = gzipSync(DISK, { level: 1 })
const SHA256 = createHash('sha256').update(FILE).digest('hex')
const WAIT_MILLISECONDS = 60_000
/** Sooner than for an answer that never goes on. */
const LEFT_MILLISECONDS = 30_000

/** A mirror that does what each path says. */
async function openMirror(handlers: Record<string, Handler>) {
  const requests: { path: string; headers: IncomingMessage['headers'] }[] = []
  const server = createServer((request, response) => {
    const path = request.url!.split('?', 1)[0]!
    requests.push({ path, headers: request.headers })
    const handler = handlers[path]
    if (handler) handler(request, response)
    else response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    requests,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

/** The file, or the range of it that is asked for; `cutAfter` bytes of it at most. */
function serveFile(cutAfter = Infinity): Handler {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const isPart = start > 0 && request.headers['if-range'] === '"v1"'
    const rest = FILE.subarray(isPart ? start : 0)
    response.writeHead(isPart ? 206 : 200, {
      etag: '"v1"',
      'content-length': rest.length,
      ...(isPart && { 'content-range': `bytes ${start}-${FILE.length - 1}/${FILE.length}` }),
    })
    response.write(rest.subarray(0, cutAfter), () => {
      if (cutAfter < rest.length) response.destroy()
      else response.end()
    })
  }
}

const HANDLERS: Record<string, Handler> = {
  '/debian.img.gz': serveFile(),
  '/cut.img.gz': serveFile(Math.ceil(FILE.length / 3)),
  '/once.img.gz': (_request, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 1000), () => response.destroy())
  },
  '/slow.img.gz': (_request, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 1000))
  },
  '/loop': (_request, response) => response.writeHead(302, { location: '/loop' }).end(),
  '/ftp': (_request, response) => response.writeHead(302, { location: 'ftp://x/y' }).end(),
  '/nowhere': (_request, response) => response.writeHead(302, { location: 'http://[x' }).end(),
  '/moved': (_request, response) => response.writeHead(302, { location: '/debian.img.gz' }).end(),
  '/changed.img.gz': (request, response) => {
    response.writeHead(200, { etag: `"${request.headers.range}"`, 'content-length': FILE.length })
    response.write(FILE.subarray(0, 1000), () => response.destroy())
  },
}

describeOnEveryDatabase('pulling an image from a URL', (_open, database) => {
  let app: TestApp
  let mirror: Awaited<ReturnType<typeof openMirror>>
  let other: typeof mirror
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_PULL_LOCAL: '1' } })
    mirror = await openMirror(HANDLERS)
    other = await openMirror({
      '/away': (_request, response) =>
        response.writeHead(307, { location: `${mirror.url}/debian.img.gz` }).end(),
    })
  })
  after(async () => {
    await app[Symbol.asyncDispose]()
    await mirror[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
  })

  const start = (name: string, path: string, body = {}) =>
    app.call<ImagePull & Refusal>('POST', `/api/images/${name}/pull`, {
      url: path.startsWith('/') ? mirror.url + path : path,
      ...body,
    })
  const get = async (id: string) => (await app.call<ImagePull>('GET', `/api/pulls/${id}`)).body

  async function until(id: string, holds: (pull: ImagePull) => boolean): Promise<ImagePull> {
    for (const end = Date.now() + WAIT_MILLISECONDS; Date.now() < end; await sleep(20)) {
      const pull = await get(id)
      if (holds(pull)) return pull
    }
    throw new Error(`Not within ${WAIT_MILLISECONDS} ms: ${JSON.stringify(await get(id))}`)
  }
  async function end(name: string, path: string, body = {}) {
    const begun = await start(name, path, body)
    assert.equal(begun.status, 202, JSON.stringify(begun.body))
    return until(begun.body.id, ({ state }) => state !== 'running')
  }
  const image = async (name: string) => app.call<Image>('GET', `/api/images/${name}`)

  it('makes a version of it, whose history tells where it came from', async () => {
    const ended = await end('pulled', '/debian.img.gz?key=secret', {
      sha256: SHA256,
      description: 'From the mirror',
    })
    assert.partialDeepStrictEqual(ended, {
      image: 'pulled',
      state: 'done',
      version: 1,
      bytesDone: FILE.length,
      bytesTotal: FILE.length,
      url: `${mirror.url}/debian.img.gz`,
      createdBy: 'admin',
      error: null,
    })
    const { body } = await image('pulled')
    assert.deepEqual([body.digest, body.sizeBytes], [ended.digest, DISK.length])
    assert.partialDeepStrictEqual(body, {
      description: 'From the mirror',
      fileName: 'debian.img.gz',
      info: { source: `pull of ${mirror.url}/debian.img.gz` },
    })
    const { body: versions } = await app.call<{ items: ImageVersion[] }>(
      'GET',
      '/api/images/pulled/versions',
    )
    assert.equal(versions.items[0]?.createdBy, 'admin')
    const log = await app.call<{ items: unknown[] }>('GET', '/api/audit?target=pulled')
    assert.doesNotMatch(JSON.stringify(log.body), /secret/)
  })

  it('goes on where the connection broke', async () => {
    const ended = await end('resumed', '/cut.img.gz', { sha256: SHA256 })
    assert.equal(ended.state, 'done', JSON.stringify(ended))
    const ranges = mirror.requests.filter(({ path }) => path === '/cut.img.gz')
    const [first, ...others] = ranges.map(({ headers }) => headers['if-range'])
    assert.equal(first, undefined)
    assert.deepEqual([...new Set(others)], ['"v1"'])
    assert.equal((await image('resumed')).body.digest, (await image('pulled')).body.digest)
  })

  it('makes nothing of a file with another checksum, or one that cannot be had whole', async () => {
    // What it has alone is counted in the background; a sweep counts.
    await app.call('POST', '/api/store/sweep')
    const before = (await image('pulled')).body
    for (const [path, code, body] of [
      ['/debian.img.gz', 'wrong-checksum', { sha256: 'a'.repeat(64) }],
      ['/once.img.gz', 'pull-broken', {}],
      ['/changed.img.gz', 'pull-refused', {}],
      ['/nothing.img.gz', 'pull-refused', {}],
      ['/loop', 'pull-redirects', {}],
      ['/ftp', 'pull-redirects', {}],
      ['/nowhere', 'pull-redirects', {}],
    ] as const) {
      const ended = await end('pulled', path, body)
      assert.deepEqual([ended.state, ended.error?.code], ['failed', code], path)
      assert.match(ended.error!.message, code === 'pull-redirects' ? /redirects (to|again)/ : /\w/)
    }
    assert.deepEqual((await image('pulled')).body, before)
  })

  it('may begin again as soon as it is told of as ended, while that is still put on the disk', async () => {
    const flush = app.database.flush.bind(app.database)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    app.database.flush = () => held.then(flush)
    try {
      for (const path of ['/nothing.img.gz', '/loop', '/nothing.img.gz'])
        assert.equal((await end('again', path)).state, 'failed')
    } finally {
      app.database.flush = flush
      release()
    }
  })

  it('follows redirects, and shows headers to the first server only', async () => {
    const headers = { Authorization: 'Bearer mirror-secret' }
    const moved = await end('moved', '/moved', { headers })
    assert.equal(moved.state, 'done', JSON.stringify(moved))
    assert.equal(mirror.requests.at(-1)?.headers.authorization, 'Bearer mirror-secret')
    const away = await end('away', `${other.url}/away`, { headers })
    assert.equal(away.state, 'done', JSON.stringify(away))
    assert.equal(other.requests.at(-1)?.headers.authorization, 'Bearer mirror-secret')
    assert.equal(mirror.requests.at(-1)?.headers.authorization, undefined)
    const log = await app.call('GET', '/api/audit?action=image.pull')
    assert.doesNotMatch(JSON.stringify(log.body), /mirror-secret/)
  })

  it('can be left unpromoted, and is refused beside another', async () => {
    await app.call('PUT', '/api/images/waiting', diskContent({ chunks: 1 }))
    const ended = await end('waiting', '/debian.img.gz', { promote: false })
    assert.equal(ended.version, 2)
    assert.equal((await image('waiting')).body.version, 1)
    const slow = await start('slow', '/slow.img.gz')
    const twice = await start('slow', '/debian.img.gz')
    assert.deepEqual([twice.status, twice.body.error.code], [409, 'pull-running'])
    await app.call('DELETE', `/api/pulls/${slow.body.id}`)
  })

  it('of a new content of an image keeps its name until then', async () => {
    await app.call('PUT', '/api/images/renewed', diskContent({ chunks: 1 }))
    const { body } = await start('renewed', '/slow.img.gz')
    const rename = () => app.call<Refusal>('PATCH', '/api/images/renewed', { name: 'elsewhere' })
    const refused = await rename()
    assert.deepEqual([refused.status, refused.body.error?.code], [409, 'pull-running'])
    await app.call('DELETE', `/api/pulls/${body.id}`)
    assert.equal((await rename()).status, 200)
  })

  it('can be cancelled, and then nothing of it stays', async () => {
    const { body } = await start('cancelled', '/slow.img.gz')
    await until(body.id, ({ bytesDone }) => bytesDone > 0)
    assert.equal((await app.call('DELETE', `/api/pulls/${body.id}`)).status, 204)
    assert.equal((await get(body.id)).state, 'cancelled')
    assert.equal((await image('cancelled')).status, 404)
    const again = await app.call<Refusal>('DELETE', `/api/pulls/${body.id}`)
    assert.deepEqual([again.status, again.body.error.code], [409, 'pull-ended'])
    const { body: list } = await app.call<{ items: ImagePull[] }>('GET', '/api/pulls')
    assert.equal(list.items[0]?.id, body.id)
  })

  it('that is cancelled while its image is put on the disk is told of as done', async () => {
    const flush = app.database.flush.bind(app.database)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    app.database.flush = () => held.then(flush)
    try {
      const { body } = await start('late', '/debian.img.gz')
      while ((await image('late')).status !== 200) await sleep(20)
      const cancelling = app.call<Refusal>('DELETE', `/api/pulls/${body.id}`)
      while (!(await findPull(app.database.db, body.id))!.cancelRequested) await sleep(20)
      release()
      const cancelled = await cancelling
      assert.deepEqual([cancelled.status, cancelled.body.error?.code], [409, 'pull-ended'])
      assert.equal((await get(body.id)).state, 'done')
    } finally {
      app.database.flush = flush
      release()
    }
  })

  it('leaves the connection to a file that it does not want', async () => {
    const left = Promise.withResolvers<void>()
    await using mirror = await openMirror({
      '/endless.img': (_request, response) => {
        response.writeHead(200, { 'content-length': 2 ** 52 }).flushHeaders()
        response.once('close', left.resolve)
      },
    })
    const ended = await end('endless', `${mirror.url}/endless.img`)
    assert.equal(ended.error?.code, 'image-too-large')
    const tooLate = sleep(LEFT_MILLISECONDS, 'it stays', { ref: false })
    assert.equal(await Promise.race([left.promise, tooLate]), undefined)
  })

  it('that a server was at when it died is told of as failed', async () => {
    const { db } = app.database
    const id = '019c2f71-3a52-7b90-8d44-0c9d8e7f6a51'
    const long = new Date(Date.now() - 120_000)
    await insertPull(db, { id, image: 'lost', url: 'http://x/', createdBy: 'admin' }, long)
    const silentSince = new Date(Date.now() - 60_000)
    await failLostPulls(db, { silentSince, except: [id] }, new Date())
    assert.equal((await get(id)).state, 'running')
    await failLostPulls(db, { silentSince, except: [] }, new Date())
    assert.partialDeepStrictEqual(await get(id), {
      state: 'failed',
      error: { code: 'server-restarted' },
    })
    const other = '019c2f71-3a52-7b90-8d44-0c9d8e7f6a52'
    await insertPull(db, { id: other, image: 'lost', url: 'http://x/', createdBy: 'admin' }, long)
    // As at the start of a server that has the database to itself.
    await failLostPulls(db, { silentSince: undefined, except: [] }, new Date())
    assert.equal((await get(other)).state, 'failed')
  })
})

describe('where the server fetches from', () => {
  it('is not itself, nor its link, under whatever name, unless that is allowed', async () => {
    await using app = await openTestApp()
    await using mirror = await openMirror({
      '/x': (_request, response) => response.end(DISK),
    })
    const { port } = new URL(mirror.url)
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0', '2130706433']) {
      const refused = await app.call<Refusal>('POST', '/api/images/own/pull', {
        url: `http://${host}:${port}/x`,
      })
      assert.deepEqual([refused.status, refused.body.error.code], [422, 'refused-url'], host)
    }
    const named = await app.call<ImagePull>('POST', '/api/images/own/pull', {
      url: `http://localhost:${port}/x`,
    })
    for (let tries = 0; ; tries++) {
      const { body } = await app.call<ImagePull>('GET', `/api/pulls/${named.body.id}`)
      if (body.state !== 'running') {
        assert.equal(body.error?.code, 'refused-url', JSON.stringify(body))
        break
      }
      assert.ok(tries < 500)
      await sleep(20)
    }
    assert.deepEqual(mirror.requests, [])
    const odd = await app.call('POST', '/api/images/own/pull', { url: 'file:///etc/passwd' })
    assert.equal(odd.status, 400)
  })

  it('refuses what is too large, by what is announced and by what comes', async () => {
    await using mirror = await openMirror(HANDLERS)
    await using small = await openTestApp({
      env: { STAMPEDE_PULL_LOCAL: '1', STAMPEDE_MAX_IMAGE_BYTES: String(MIB) },
    })
    const url = `${mirror.url}/debian.img.gz`
    const { body } = await small.call<ImagePull>('POST', '/api/images/big/pull', { url })
    for (let tries = 0; ; tries++) {
      const { body: pull } = await small.call<ImagePull>('GET', `/api/pulls/${body.id}`)
      if (pull.state === 'failed') return assert.equal(pull.error?.code, 'image-too-large')
      assert.ok(tries < 500 && pull.state === 'running', JSON.stringify(pull))
      await sleep(20)
    }
  })

  it('may be a private network, and never this machine or an address on the link only', () => {
    const interfaces = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
    const own = new Set(interfaces.map(({ address }) => address))
    const others = ['10.0.0.1', '192.168.1.1', '172.16.0.1', '192.0.2.1', 'fd00::1']
    for (const address of others.filter((each) => !own.has(each)))
      assert.equal(isRefusedAddress(address), false, address)
    for (const address of [
      '127.1.2.3',
      '169.254.169.254',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      'fe80::1',
      'ff02::1',
      '::ffff:169.254.169.254',
      'nonsense',
    ])
      assert.equal(isRefusedAddress(address), true, address)
    for (const address of own)
      assert.equal(isRefusedAddress(address), true, `${address} is this machine`)
  })
})
