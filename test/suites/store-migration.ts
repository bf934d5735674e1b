import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { pino } from 'pino'
import type { StoreMigration } from '#protocol/store-migration.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { type CopyOptions, copyStore } from '#server/images/store/copy-store.ts'
import { openApp } from '#server/app.ts'
import { readConfig } from '#server/config.ts'
import type { S3Access } from '#server/images/s3/s3-access.ts'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { openTestStore, type TestStore } from '#test/support/image-store.ts'
import type { RadosGateway } from '#test/support/rados-gateway.ts'
import { ADMIN_TOKEN, createCall, openTestApp, type TestApp } from '#test/support/test-app.ts'

const PROGRAM = new URL('../../server/store-main.ts', import.meta.url).pathname
const DEADLINE_MILLISECONDS = 240_000

export interface MigrationSubject {
  gateway: () => RadosGateway
  openStore: (access: S3Access) => ChunkStore
}

/** Chunks on their way between a folder and a bucket. */
export function testStoreMigration({ gateway, openStore }: MigrationSubject): void {
  let prefixes = 0
  const bucket = () => openStore(gateway().access('stampede', `copy-${++prefixes}/`))
  const copy = (from: ChunkStore, to: ChunkStore, options: Partial<CopyOptions> = {}) =>
    copyStore({
      from,
      to,
      verify: false,
      signal: new AbortController().signal,
      onProgress: () => {},
      ...options,
    })
  const contents = Array.from({ length: 50 }, (_, index) => Buffer.alloc(8192, `${index} `))
  const fill = async (store: ChunkStore) => {
    for (const [index, content] of contents.entries())
      await store.putIfAbsent(
        sha256(content),
        index % 2 === 0 ? gzipSync(content) : zstdCompressSync(content),
      )
  }
  const forms = async (store: ChunkStore) => {
    const found = new Map<Sha256, string>()
    for await (const { hash } of store.list(''))
      found.set(hash, Buffer.from((await store.read(hash)).bytes).toString('base64'))
    return found
  }

  for (const direction of ['a folder to a bucket', 'a bucket to a folder'] as const)
    it(`go from ${direction} as they are, once`, async () => {
      await using folder = await openTestStore()
      const stores = [folder.store, bucket()] as const
      const [from, to] = direction === 'a folder to a bucket' ? stores : stores.toReversed()
      await fill(from!)
      const first = await copy(from!, to!)
      assert.partialDeepStrictEqual(first, { position: 256, seenChunks: 50, copiedChunks: 50 })
      assert.deepEqual(await forms(to!), await forms(from!))
      const again = await copy(from!, to!)
      assert.partialDeepStrictEqual(again, { seenChunks: 50, copiedChunks: 0, damagedChunks: 0 })
    })

  it('go on where they were interrupted', async () => {
    await using folder = await openTestStore()
    const to = bucket()
    await fill(folder.store)
    const stop = new AbortController()
    let last = { position: 0, copiedChunks: 0 }
    await assert.rejects(
      copy(folder.store, to, {
        signal: stop.signal,
        onProgress(progress) {
          last = progress
          if (progress.seenChunks >= 20) stop.abort()
        },
      }),
    )
    assert.ok(last.position > 0)
    const rest = await copy(folder.store, to, { position: last.position })
    assert.ok(rest.copiedChunks < 50 - 15, `${rest.copiedChunks} were copied`)
    assert.deepEqual(await forms(to), await forms(folder.store))
  })

  for (const [when, passes] of [
    ['before', 1],
    ['after', 2],
  ] as const)
    it(`that were recompressed ${when} they were copied are there in both forms`, async () => {
      await using folder = await openTestStore()
      const to = bucket()
      const content = Buffer.alloc(MIB, 'recompressed ')
      const hash = sha256(content)
      const member = gzipSync(content, { level: 1 })
      const frame = zstdCompressSync(content)
      await folder.store.putIfAbsent(hash, member)
      if (passes === 2) await copy(folder.store, to)
      await folder.store.replace(hash, frame)
      assert.equal((await copy(folder.store, to)).copiedChunks, 1)
      // Images that nobody counted anew since tell how long the old one is.
      const form = { codec: 'gzip', storedBytes: member.length } as const
      assert.ok(member.equals((await to.read(hash, undefined, { form })).bytes))
      assert.ok(frame.equals((await to.read(hash)).bytes))
      assert.equal((await copy(folder.store, to)).copiedChunks, 0)
    })

  it('stay behind if they are damaged, and are counted', async () => {
    await using folder = await openTestStore()
    const to = bucket()
    await fill(folder.store)
    await damage(folder, sha256(contents[0]!), gzipSync('other content'))
    await damage(folder, sha256(contents[2]!), Buffer.from('no chunk, but long enough for one'))
    const copied = await copy(folder.store, to)
    assert.partialDeepStrictEqual(copied, { copiedChunks: 48, damagedChunks: 2 })
    assert.equal((await forms(to)).size, 48)
  })

  it('come anew, if it is wanted, where what is there is not what it should be', async () => {
    await using folder = await openTestStore()
    await using other = await openTestStore()
    await fill(folder.store)
    await copy(folder.store, other.store)
    const hash = sha256(contents[0]!)
    const rotten = gzipSync(contents[0]!)
    rotten[rotten.length - 6]! ^= 1
    await damage(other, hash, rotten)
    assert.equal((await copy(folder.store, other.store)).copiedChunks, 0)
    assert.equal((await copy(folder.store, other.store, { verify: true })).copiedChunks, 1)
    assert.ok(gunzipSync((await other.store.read(hash)).bytes).equals(contents[0]!))
  })

  const environment = () => {
    const { accessKeyId, secretAccessKey } = gateway().access('stampede')
    return {
      AWS_ENDPOINT_URL: gateway().endpoint,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    }
  }
  /** On a data folder that stays. */
  const openServer = async (dataFolder: string, store: string) => {
    const config = readConfig({
      ...environment(),
      STAMPEDE_DATA: dataFolder,
      STAMPEDE_STORE: store,
      STAMPEDE_DHCP: 'off',
      STAMPEDE_HTTP: '127.0.0.1:0',
      STAMPEDE_ADMIN_TOKEN: ADMIN_TOKEN,
    })
    const app = await openApp(config, {
      log: pino({ level: process.env['DEBUG_LOG'] ?? 'silent' }),
    })
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const download = async (path: string) =>
      Buffer.from(await (await fetch(app.url + path, { headers })).arrayBuffer())
    return { ...app, download, call: createCall(app.port) }
  }
  const finished = async (app: Pick<TestApp, 'call'>) => {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    for (;;) {
      const { body } = await app.call<StoreMigration>('GET', '/api/store/migration')
      if (['done', 'cancelled'].includes(body.state)) return body
      assert.ok(Date.now() < deadline, JSON.stringify(body))
      await sleep(50)
    }
  }
  let base: string
  before(async () => void (base = await mkdtemp(join(tmpdir(), 'stampede-migrate-'))))
  after(() => rm(base, { recursive: true, force: true }))

  it('go to a bucket and back while the server serves, which then starts on the other', async () => {
    const disk = diskContent({ chunks: 6, lastBytes: 4096 })
    const dataFolder = join(base, 'data')
    await mkdir(dataFolder)
    await putEmbeddedDatabase(dataFolder)
    const stores = [`file:${base}/old`, 's3://stampede/moved', `file:${base}/new`]
    for (const [index, from] of stores.entries()) {
      // Which recompresses what is in the store while nothing else is to do.
      await using app = await openServer(dataFolder, from)
      if (index === 0) {
        assert.equal((await app.call('GET', '/api/store/migration')).status, 404)
        assert.equal((await app.call('POST', '/api/images/debian', disk)).status, 201)
      } else await rm(stores[index - 1]!.replace('file:', ''), { recursive: true, force: true })
      assert.ok(gunzipSync(await app.download('/images/debian.img.gz')).equals(disk))
      const to = stores[index + 1]
      if (to === undefined) continue
      const started = await app.call('POST', '/api/store/migration', { to })
      assert.equal(started.status, 202, JSON.stringify(started.body))
      const done = await finished(app)
      assert.partialDeepStrictEqual(done, { from, to, state: 'done', progress: 1, error: null })
      assert.ok(done.copiedChunks > 3)
      assert.equal(done.damagedChunks, 0)
    }
  })

  it('are brought up to date by a program of its own, while no server runs', async () => {
    await using folder = await openTestStore()
    await fill(folder.store)
    const store = (...args: string[]) => {
      const env = cleanEnvironment(environment())
      return promisify(execFile)(process.execPath, [PROGRAM, 'migrate', ...args], { env })
    }
    const from = `file:${folder.folder}`
    const args = ['--from', from, '--to', 's3://stampede/program']
    assert.match((await store(...args)).stdout, /^50 of 50 chunks copied, .*has all that/)
    assert.match((await store(...args, '--verify')).stdout, /^0 of 50 chunks copied/)
    const back = ['--from', 's3://stampede/program', '--to', `file:${base}/program`]
    assert.match((await store(...back)).stdout, /^50 of 50 chunks copied/)
    for (const [wrong, message] of [
      [['--from', from, '--to', 's3://nowhere'], /no bucket "nowhere"/],
      [['--from', `file:${base}/nothing`, '--to', 's3://stampede/x'], /There is no chunk store in/],
      [['--from', from], /^Usage: npm run store/],
      [['--form', from], /^Unknown option '--form'/],
    ] as const)
      await assert.rejects(store(...wrong), (err: Error & { code: number; stderr: string }) => {
        assert.equal(err.code, 1)
        assert.match(err.stderr, message)
        assert.doesNotMatch(err.stderr, /\n +at /)
        return true
      })
    await damage(folder, sha256(contents[0]!), gzipSync('other content'))
    const again = store('--from', from, '--to', `file:${base}/again`)
    await assert.rejects(again, /lacks a chunk that is damaged in/)
  })

  it('go nowhere that cannot be a store', async () => {
    await mkdir(join(base, 'etc'))
    await writeFile(join(base, 'etc', 'passwd'), '')
    const own = `file:${base}/own`
    await using app = await openTestApp({ env: { ...environment(), STAMPEDE_STORE: own } })
    const start = (to: string) =>
      app.call<{ error: { message: string } }>('POST', '/api/store/migration', { to })
    for (const [to, message] of [
      [own, /are in file:.* already/],
      [`file:${base}/etc`, /is no chunk store, for "passwd" is in it/],
      ['s3://nowhere', /no bucket "nowhere"/],
      ['ftp://x', /must be a folder such as/],
    ] as const) {
      const { status, body } = await start(to)
      assert.equal(status, 422, to)
      assert.match(body.error.message, message)
    }
    assert.equal((await app.call('DELETE', '/api/store/migration')).status, 404)
  })

  it('are tried again when the other store is back, unless it is given up', async () => {
    await using app = await openTestApp({
      env: { ...environment(), STAMPEDE_STORE: `file:${base}/away` },
    })
    const chunk = gzipSync(contents[0]!)
    await app.call('PUT', `/chunks/${sha256(contents[0]!)}`, chunk)
    await gateway().kill()
    try {
      const refused = await app.call('POST', '/api/store/migration', { to: 's3://stampede/away' })
      assert.equal(refused.status, 422)
      await gateway().start()
      const { status } = await app.call('POST', '/api/store/migration', {
        to: 's3://stampede/away',
      })
      assert.equal(status, 202)
      assert.equal((await finished(app)).state, 'done')
      const { body } = await app.call<StoreMigration>('DELETE', '/api/store/migration')
      assert.equal(body.state, 'done')
    } finally {
      await gateway().kill()
      await gateway().start()
    }
  })
}

async function damage({ folder }: TestStore, hash: Sha256, bytes: Uint8Array): Promise<void> {
  await writeFile(join(folder, hash.slice(0, 2), `${hash.slice(2)}.gz`), bytes)
}
