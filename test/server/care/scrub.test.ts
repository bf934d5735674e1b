import assert from 'node:assert/strict'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import type { StoreStatus } from '#protocol/store.ts'
import type { SystemStatus } from '#protocol/system-status.ts'
import { findLostChunks } from '#server/care/lost-chunks.ts'
import { isScrubDue } from '#server/care/scrub-job.ts'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'
import { type ChunkStore, StoreUnreachableError } from '#server/images/store/chunk-store.ts'
import { createDirectoryStore } from '#server/images/store/directory-store.ts'
import { diskContent, MIB } from '#test/support/disk-content.ts'
import { createShell } from '#test/cli/stampede.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { chunkHash, log, removeChunk, rot, waitFor } from './care-lab.ts'

const MAC = '52:54:00:00:21:01'
const DISK = diskContent()
// As if it were an ext file system, which is looked into.
DISK.write('\x53\xef', 1080, 'latin1')
/** Random content, of which there is one. */
const ROTTEN = chunkHash(DISK, 1)

type Refusal = { error: { code: string; message: string } }

async function scrub(app: TestApp): Promise<StoreStatus['scrub']> {
  const { body: before } = await app.call<StoreStatus>('GET', '/api/store')
  const { status } = await app.call('POST', '/api/store/scrub')
  assert.equal(status, 202)
  let now = before
  await waitFor('a scrub', async () => {
    now = (await app.call<StoreStatus>('GET', '/api/store')).body
    return now.scrub.last !== null && now.scrub.last.finishedAt !== before.scrub.last?.finishedAt
  })
  return now.scrub
}

/** The scrub that a new server begins with is over, and so is not what finds what comes. */
async function openScrubbedApp(env: Record<string, string> = {}): Promise<TestApp> {
  const app = await openTestApp({ env, realTime: true })
  await waitFor('the first scrub', async () => {
    const { body } = await app.call<StoreStatus>('GET', '/api/store')
    return body.scrub.last !== null
  })
  return app
}

async function exported(app: TestApp, name: string): Promise<Buffer> {
  const response = await fetch(`http://127.0.0.1:${app.port}/images/${name}.img.gz`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  })
  assert.equal(response.status, 200)
  return gunzipSync(await response.arrayBuffer())
}

describe('a chunk that rots in the store', () => {
  let app: TestApp
  let folder: string
  before(async () => {
    app = await openScrubbedApp()
    folder = join(app.dataFolder, 'store')
    for (const name of ['hit', 'hit-too', 'old']) await app.call('PUT', `/api/images/${name}`, DISK)
    await app.call('PUT', '/api/images/old', Buffer.alloc(2 * MIB, 'new'))
    await app.call('PUT', '/api/images/well', Buffer.alloc(2 * MIB, 'well'))
    await app.call('PUT', `/api/machines/${MAC}`, { name: 'node', locked: false })
  })
  after(() => app[Symbol.asyncDispose]())

  const damagedOf = async (name: string) =>
    (await app.call<Image>('GET', `/api/images/${name}`)).body.damaged

  it('is found by the next scrub, which names the images that it was in', async () => {
    assert.equal((await scrub(app)).last!.damagedChunks, 0)
    await rot(folder, ROTTEN)
    const { last } = await scrub(app)
    assert.equal(last!.damagedChunks, 1)
    assert.deepEqual(await damagedOf('hit'), { chunks: 1 })
    assert.deepEqual(await damagedOf('hit-too'), { chunks: 1 })
    assert.equal(await damagedOf('well'), undefined)
    const { body } = await app.call<StoreStatus>('GET', '/api/store')
    assert.deepEqual(body.damaged, [
      { image: 'hit', version: 1, isPromoted: true, chunks: 1 },
      { image: 'hit-too', version: 1, isPromoted: true, chunks: 1 },
      { image: 'old', version: 1, isPromoted: false, chunks: 1 },
    ])
    assert.equal(body.lostChunks, 1)
    const { body: metrics } = await app.call<string>('GET', '/metrics')
    assert.match(metrics, /^stampede_store_damaged_chunks 1$/m)
  })

  it('is told of a version that the name does not stand for, which may be rolled back to', async () => {
    assert.equal(await damagedOf('old'), undefined)
    const { body } = await app.call<{ items: ImageVersion[] }>('GET', '/api/images/old/versions')
    assert.deepEqual(
      body.items.map(({ version, damaged }) => [version, damaged?.chunks]),
      [
        [2, undefined],
        [1, 1],
      ],
    )
    using shell = createShell(app.port)
    const { stdout: versions } = await shell.run(['images', 'versions', 'old'])
    assert.match(versions, /^ +2 +promoted .*\n +1 +damaged /m)
    const { stdout: images } = await shell.run(['images', 'ls'])
    assert.match(images, /^NAME +STATE .*\nhit +damaged .*\nhit-too +damaged .*\nold +– /)
    const { stdout: store } = await shell.run(['store'])
    assert.match(
      store,
      /^Damage +1 chunk lost, of hit \(1 chunk\), hit-too \(1 chunk\), old@1 \(1 chunk\)$/m,
    )
  })

  it('is kept aside for whoever looks into it', async () => {
    const names = await readdir(join(folder, 'quarantine'))
    assert.equal(names.filter((name) => name.includes(ROTTEN)).length, 1)
    assert.equal((await app.call('GET', `/chunks/${ROTTEN}`)).status, 404)
  })

  it('keeps its images from being taken out: no file ends in the middle', async () => {
    for (const suffix of ['img.gz', 'img.zst']) {
      const { status, body } = await app.call<Refusal>('GET', `/images/hit.${suffix}`)
      assert.deepEqual([status, body.error.code], [409, 'image-damaged'])
    }
    assert.equal((await app.call('GET', '/images/well.img.gz')).status, 200)
    const file = await app.call<Refusal>('GET', '/api/images/hit/files?path=/etc/fstab')
    assert.deepEqual([file.status, file.body.error.code], [409, 'image-damaged'])
    const system = await app.call<SystemStatus>('GET', '/api/system')
    const { ok, message } = system.body.checks.find(({ name }) => name === 'store')!
    assert.equal(ok, false)
    assert.match(message, /lost parts of images "hit", "hit-too", "old@1"/)
  })

  it('is why the command saves none of its images', async () => {
    using shell = createShell(app.port)
    const shown = await shell.run(['images', 'show', 'hit'])
    assert.match(shown.stdout, /^Damaged +lacks 1 chunk that the store has lost/m)
    const { code, stderr } = await shell.run(['images', 'pull', 'hit', '-o', 'hit.img'])
    assert.deepEqual([code, /lacks 1 chunk .*capture or upload/.test(stderr)], [6, true], stderr)
  })

  it('keeps its images from being deployed, and no others', async () => {
    const run = { mac: MAC, workflow: 'deploy', image: 'hit' }
    const { status, body } = await app.call<Refusal>('POST', '/api/runs', run)
    assert.deepEqual([status, body.error.code], [409, 'image-damaged'])
    assert.match(body.error.message, /Image "hit" lacks a chunk that the store has lost/)
    const plan = await app.call<{ items: { problems: { code: string }[] }[] }>(
      'POST',
      '/api/plans',
      { workflow: 'deploy', image: 'hit', macs: [MAC] },
    )
    const codes = plan.body.items[0]!.problems.map(({ code }) => code)
    assert.ok(codes.includes('image-damaged'), JSON.stringify(plan.body))
    assert.equal((await app.call('POST', '/api/runs', { ...run, image: 'well' })).status, 201)
  })

  it('is healed by whoever brings its content again', async () => {
    const { status } = await app.call('PUT', '/api/images/capture', DISK.subarray(0, 3 * MIB))
    assert.equal(status, 201)
    await waitFor('healing', async () => (await damagedOf('hit')) === undefined)
    assert.equal(await damagedOf('hit-too'), undefined)
    assert.ok((await exported(app, 'hit')).equals(DISK))
    assert.equal((await scrub(app)).last!.damagedChunks, 0)
  })

  it('is found by whoever reads it, before any scrub', async () => {
    // Chunks of zstd are inflated for a .img.gz, those of gzip for a .img.zst.
    await rot(folder, ROTTEN)
    const path = `http://127.0.0.1:${app.port}/images/hit.img.zst`
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    await assert.rejects(async () => (await fetch(path, { headers })).arrayBuffer())
    await waitFor('its images being named', async () => (await damagedOf('hit'))?.chunks === 1)
    await app.call('PUT', '/api/images/capture', DISK.subarray(0, 2 * MIB))
    await waitFor('healing', async () => (await damagedOf('hit')) === undefined)
  })

  it('may be the list of a segment', async () => {
    const { body } = await app.call<Image>('GET', '/api/images/hit')
    const manifest = await fetch(`http://127.0.0.1:${app.port}/images/by-digest/${body.digest}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    const { segments } = (await manifest.json()) as { segments: string[] }
    await rot(folder, segments[0] as typeof ROTTEN)
    assert.equal((await scrub(app)).last!.damagedChunks, 1)
    assert.deepEqual(await damagedOf('hit'), { chunks: 1 })
    await app.call('PUT', '/api/images/once-more', DISK)
    await waitFor('healing', async () => (await damagedOf('hit')) === undefined)
    assert.ok((await exported(app, 'hit')).equals(DISK))
  })
})

describe('a chunk that is gone from the store', () => {
  let app: TestApp
  let folder: string
  before(async () => {
    app = await openScrubbedApp()
    folder = join(app.dataFolder, 'store')
    for (const name of ['lacking', 'lacking-too'])
      await app.call('PUT', `/api/images/${name}`, DISK)
    await app.call('PUT', '/api/images/well', Buffer.alloc(2 * MIB, 'well'))
  })
  after(() => app[Symbol.asyncDispose]())

  const damagedOf = async (name: string) =>
    (await app.call<Image>('GET', `/api/images/${name}`)).body.damaged

  it('is found by the next scrub, which names the images that need it', async () => {
    await removeChunk(folder, ROTTEN)
    assert.equal((await scrub(app)).last!.damagedChunks, 1)
    assert.deepEqual(await damagedOf('lacking'), { chunks: 1 })
    assert.deepEqual(await damagedOf('lacking-too'), { chunks: 1 })
    assert.equal(await damagedOf('well'), undefined)
    assert.equal((await scrub(app)).last!.damagedChunks, 0, 'It is known of by now')
  })

  it('is healed by whoever brings its content again', async () => {
    await app.call('PUT', '/api/images/capture', DISK)
    await waitFor('healing', async () => (await damagedOf('lacking')) === undefined)
    assert.ok((await exported(app, 'lacking')).equals(DISK))
  })

  it('is found by whoever reads it, before any scrub', async () => {
    await removeChunk(folder, ROTTEN)
    await assert.rejects(exported(app, 'lacking'))
    await waitFor('its images being named', async () => (await damagedOf('lacking'))?.chunks === 1)
    await app.call('PUT', '/api/images/capture', DISK)
    await waitFor('healing', async () => (await damagedOf('lacking')) === undefined)
  })

  it('may be the list of a segment, which hides what else is gone', async () => {
    const { body } = await app.call<Image>('GET', '/api/images/lacking')
    const { body: manifest } = await app.call<{ segments: string[] }>(
      'GET',
      `/images/by-digest/${body.digest}`,
    )
    await removeChunk(folder, manifest.segments[0]!)
    await removeChunk(folder, ROTTEN)
    assert.equal((await scrub(app)).last!.damagedChunks, 1)
    await app.call('PUT', '/api/images/capture', DISK)
    await waitFor('healing', async () => (await damagedOf('lacking')) === undefined)
    assert.ok((await exported(app, 'lacking')).equals(DISK))
  })

  it('is none while the disk of the store is not mounted', async () => {
    const lock = createCommitLock()
    const { signal } = new AbortController()
    await removeChunk(folder, ROTTEN)
    const { db } = app.database
    const there = createDirectoryStore({ folder, flush: async () => {} })
    const store: ChunkStore = {
      ...there,
      // It goes away once it was listed.
      async read(hash, ...more) {
        if (hash === ROTTEN) await rename(folder, `${folder}.away`)
        return await there.read(hash, ...more)
      },
    }
    await assert.rejects(findLostChunks({ db, store, lock, log }, signal), StoreUnreachableError)
    await rename(`${folder}.away`, folder)
    assert.equal(await damagedOf('lacking'), undefined)
  })
})

describe('a chunk that another place has', () => {
  it('is fetched from another server, and no byte of it is believed', async () => {
    await using other = await openTestApp()
    await other.call('PUT', '/api/images/same', DISK)
    await using app = await openScrubbedApp({
      STAMPEDE_HEAL_FROM: `http://127.0.0.1:${other.port}`,
      STAMPEDE_HEAL_TOKEN: ADMIN_TOKEN,
    })
    await app.call('PUT', '/api/images/disk', DISK)
    await rot(join(app.dataFolder, 'store'), ROTTEN)
    assert.equal((await scrub(app)).last!.damagedChunks, 1)
    assert.equal((await app.call<Image>('GET', '/api/images/disk')).body.damaged, undefined)
    assert.ok((await exported(app, 'disk')).equals(DISK))

    // What the other has is rotten as well.
    await rot(join(other.dataFolder, 'store'), ROTTEN)
    await rot(join(app.dataFolder, 'store'), ROTTEN)
    assert.equal((await scrub(app)).last!.damagedChunks, 1)
    assert.deepEqual((await app.call<Image>('GET', '/api/images/disk')).body.damaged, { chunks: 1 })
  })

  it('is fetched from another store', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'stampede-copy-'))
    try {
      {
        await using other = await openTestApp({ env: { STAMPEDE_STORE: `file:${copy}` } })
        await other.call('PUT', '/api/images/same', DISK)
      }
      await using app = await openScrubbedApp({ STAMPEDE_HEAL_FROM: `file:${copy}` })
      await app.call('PUT', '/api/images/disk', DISK)
      await rot(join(app.dataFolder, 'store'), ROTTEN)
      await scrub(app)
      assert.equal((await app.call<Image>('GET', '/api/images/disk')).body.damaged, undefined)
      assert.ok((await exported(app, 'disk')).equals(DISK))
    } finally {
      await rm(copy, { recursive: true, force: true })
    }
  })
})

describe('isScrubDue', () => {
  const now = new Date('2026-03-01T00:00:00Z')
  const last = (finishedAt: string) => ({
    last: {
      startedAt: finishedAt,
      finishedAt,
      checkedChunks: 1,
      checkedBytes: 1,
      damagedChunks: 0,
    },
  })
  const rows: [what: string, row: Parameters<typeof isScrubDue>[0], hours: number, due: boolean][] =
    [
      ['never scrubbed', { state: {}, requestedAt: null, enabled: null }, 168, true],
      [
        'scrubbed six days ago',
        { state: last('2026-02-23T00:00:00Z'), requestedAt: null, enabled: null },
        168,
        false,
      ],
      [
        'scrubbed seven days ago',
        { state: last('2026-02-22T00:00:00Z'), requestedAt: null, enabled: null },
        168,
        true,
      ],
      [
        'in the middle of one',
        {
          state: { after: 'ab', ...last('2026-02-28T00:00:00Z') },
          requestedAt: null,
          enabled: null,
        },
        168,
        true,
      ],
      ['never by itself', { state: {}, requestedAt: null, enabled: null }, 0, false],
      ['asked for', { state: {}, requestedAt: now, enabled: null }, 0, true],
    ]
  for (const [what, row, hours, due] of rows)
    it(`${due ? 'is' : 'is not'} so when ${what}`, () =>
      assert.equal(isScrubDue(row, hours, now), due))
})
