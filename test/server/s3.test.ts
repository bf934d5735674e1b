import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { createChunkTouches } from '#server/db/store/chunk-touches.ts'
import type { S3Access } from '#server/images/s3/s3-access.ts'
import { createS3Client, type S3ClientOptions } from '#server/images/s3/s3-client.ts'
import { S3Error } from '#server/images/s3/s3-error.ts'
import { createS3Store } from '#server/images/s3/s3-store.ts'
import { parseObjectPage } from '#server/images/s3/s3-xml.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import { testChunkStore } from '#test/suites/chunk-store.ts'
import { testS3Faults } from '#test/suites/s3-faults.ts'
import { testS3Redirects } from '#test/suites/s3-redirects.ts'
import { testStoreMigration } from '#test/suites/store-migration.ts'
import {
  describeOnEveryDatabase,
  openTestDatabase,
  type TestDatabase,
} from '#test/support/database.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { openRadosGateway, type RadosGateway } from '#test/support/rados-gateway.ts'

/** All that needs a gateway, so that it is started once. */

/** Of a deletion that others do not wait for. */
const SLOW_MILLISECONDS = 500

let gateway: RadosGateway
before(async () => {
  gateway = await openRadosGateway()
  await gateway.createBucket('stampede')
})
after(() => gateway[Symbol.asyncDispose]())

describeOnEveryDatabase('S3 store on a RADOS gateway', (openDatabase, kind) => {
  let database: TestDatabase
  before(async () => void (database = await openDatabase()))
  after(() => database[Symbol.asyncDispose]())

  testChunkStore(async () => {
    const client = createS3Client(gateway.access('stampede', `${randomUUID()}/`))
    const { access } = client
    return {
      store: createS3Store(client, createChunkTouches(database.db, kind)),
      spoolFolder: tmpdir(),
      async damage(hash, body) {
        const key = `chunks/${hash.slice(0, 2)}/${hash.slice(2)}`
        await client.send({ method: 'PUT', key, body })
      },
      async names() {
        const query = { 'list-type': '2', prefix: access.prefix }
        const { body } = await client.send({ method: 'GET', query })
        return parseObjectPage(new TextDecoder().decode(body)).objects.map(({ key }) => key)
      },
      async [Symbol.asyncDispose]() {
        client[Symbol.dispose]()
      },
    }
  })
})

describe('chunks from a store in S3', () => testS3Redirects(() => gateway))

describe('stores in S3', () => {
  let database: TestDatabase
  before(async () => void (database = await openTestDatabase()))
  after(() => database[Symbol.asyncDispose]())

  const subject = {
    gateway: () => gateway,
    openStore: (access: S3Access, options?: S3ClientOptions) =>
      createS3Store(createS3Client(access, options), createChunkTouches(database.db, 'embedded')),
  }
  describe('a chunk that is swept while it is replaced', () => {
    const hash = sha256(Buffer.alloc(512, 'content '))
    const forms = [1, 9].map((level) => gzipSync(Buffer.alloc(512, 'content '), { level }))
    for (const [moment, header] of [
      ['before it is kept aside', 'x-amz-copy-source'],
      ['before the new form is put', 'if-match'],
    ] as const)
      it(`is absent: ${moment}`, async () => {
        using client = createS3Client(gateway.access('stampede', `${randomUUID()}/`))
        const key = `chunks/${hash.slice(0, 2)}/${hash.slice(2)}`
        const store = createS3Store(
          {
            ...client,
            async send(request) {
              if (request.headers?.[header]) await client.send({ method: 'DELETE', key })
              return await client.send(request)
            },
          },
          createChunkTouches(database.db, 'embedded'),
        )
        await store.putIfAbsent(hash, forms[0]!)
        assert.equal(await store.replace(hash, forms[1]!), false)
        assert.equal((await store.touch([hash])).size, 0)
      })
  })
  // The gateway here does not heed the condition; S3 does, and newer gateways.
  it('a chunk that is healed while it is set aside stays', async () => {
    using client = createS3Client(gateway.access('stampede', `${randomUUID()}/`))
    const content = Buffer.alloc(512, 'healed ')
    const hash = sha256(content)
    const key = `chunks/${hash.slice(0, 2)}/${hash.slice(2)}`
    const touches = createChunkTouches(database.db, 'embedded')
    const other = createS3Store(client, touches)
    let deletions = 0
    const store = createS3Store(
      {
        ...client,
        async send(request) {
          if (request.method !== 'DELETE') return await client.send(request)
          if (deletions++ === 0) await other.putIfAbsent(hash, gzipSync(content))
          const { headers } = await client.send({ method: 'HEAD', key })
          const wanted = request.headers?.['if-match']
          if (wanted !== undefined && wanted !== headers.etag)
            throw new S3Error('DELETE', 412, {}, new Uint8Array())
          return await client.send(request)
        },
      },
      touches,
    )
    await client.send({ method: 'PUT', key, body: Buffer.from('rotten') })
    assert.equal(await store.quarantine(hash), false)
    assert.ok(deletions > 0)
    assert.ok(content.equals(await readContent(store, hash)))
  })
  it('a sweep that fails ends only when nothing of it goes on any more', async () => {
    using client = createS3Client(gateway.access('stampede', `${randomUUID()}/`))
    const contents = Array.from({ length: 3000 }, (_, index) => Buffer.from(`${index}`))
    const some = contents.filter((content) => sha256(content).startsWith('00')).slice(0, 3)
    const hashes = some.map((content) => sha256(content))
    const deletions: Promise<unknown>[] = []
    const store = createS3Store(
      {
        ...client,
        async send(request) {
          if (request.method !== 'DELETE') return await client.send(request)
          const isFirst = deletions.length === 0
          const done = sleep(isFirst ? 0 : SLOW_MILLISECONDS).then(() => client.send(request))
          deletions.push(done)
          if (isFirst) throw new S3Error('DELETE', 403, {}, new Uint8Array())
          return await done
        },
      },
      createChunkTouches(database.db, 'embedded'),
    )
    for (const content of some) await store.putIfAbsent(sha256(content), gzipSync(content))
    const cutoff = new Date(Date.now() + 60_000)
    await assert.rejects(store.sweep({ prefix: '00', isLive: () => false, cutoff }))
    const found = await store.touch(hashes)
    await Promise.all(deletions)
    // Whoever was told that a chunk is there relies on it.
    assert.deepEqual(await store.touch(hashes), found)
  })
  describe('chunks that are copied', () => testStoreMigration(subject))
  // Last, for it kills the gateway, which takes a while to be what it was.
  describe('faults', () => testS3Faults(subject))
})
