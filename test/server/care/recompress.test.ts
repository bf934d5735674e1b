import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, it } from 'node:test'
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { parseSha256 } from '#protocol/sha256.ts'
import type { ImageLibrary } from '#server/api/library/image-library.ts'
import type { RecompressState } from '#server/care/recompress-job.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { deleteImage } from '#server/db/images/image-changes.ts'
import { findImage } from '#server/db/images/image-queries.ts'
import { changeJob, getJob } from '#server/db/store/store-jobs.ts'
import { type ChunkStore, StoreFullError } from '#server/images/store/chunk-store.ts'
import { type RecompressAnswer, Recompressor } from '#server/images/store/recompressor.ts'
import { GZIP_EXPORT, ZSTD_EXPORT } from '#server/images/export/export-format.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { MIB } from '#test/support/disk-content.ts'
import { openTestStore, type TestStore } from '#test/support/image-store.ts'
import {
  captureDisk,
  chunkFilesOf,
  chunkHash,
  compressibleDisk,
  openLibrary,
  openRound,
  readAll,
  waitFor,
} from './care-lab.ts'

type Recompress = (
  this: Recompressor,
  ...args: Parameters<Recompressor['recompress']>
) => Promise<RecompressAnswer>

const CHUNKS = 6
const DISK = compressibleDisk(CHUNKS)

describeOnEveryDatabase('recompression', (openTestDatabase, kind) => {
  let database: OpenedDatabase
  let test: TestStore
  let library: ImageLibrary
  before(async () => {
    database = await openTestDatabase()
    test = await openTestStore()
    library = openLibrary(database, kind, test)
  })
  after(async () => {
    await library[Symbol.asyncDispose]()
    await test[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  const state = async () => (await getJob(database.db, 'recompress')).state as RecompressState
  const again = () => changeJob(database.db, 'recompress', { requestedAt: new Date() })

  /** Until the round that begins now has ended. */
  async function round(store?: ChunkStore): Promise<RecompressState> {
    const { finishedAt } = await state()
    await again()
    await using _job = openRound(database, library, store && { store })
    await waitFor('a round', async () => (await state()).finishedAt !== finishedAt)
    return state()
  }

  it('makes chunks smaller and leaves an export that began before as it was', async () => {
    const { digest, storedBytes } = await captureDisk(test.store, library, 'disk', DISK)
    const find = () => library.findExport(parseSha256(digest), ZSTD_EXPORT)
    const before = (await find())!
    const whole = await readAll(before.read({ start: 0, end: before.totalBytes }))
    const open = before.read({ start: 0, end: before.totalBytes })
    const first = Buffer.from((await open.next()).value as Uint8Array)

    const { replacedChunks, savedBytes } = await round()
    assert.equal(replacedChunks, CHUNKS)
    await library.sweep()
    const after = (await find())!
    assert.notEqual(after.etag, before.etag)
    assert.ok(after.totalBytes < before.totalBytes)
    assert.equal(before.totalBytes - after.totalBytes, savedBytes)
    assert.equal((await findImage(database.db, 'disk'))!.storedBytes, storedBytes - savedBytes!)

    // What it read already, and all of the rest, is what its ETag and length said.
    assert.ok(Buffer.concat([first, await readAll(open)]).equals(whole))
    const now = await readAll(after.read({ start: 0, end: after.totalBytes }))
    assert.equal(now.length, after.totalBytes)
    for (const file of [whole, now])
      assert.ok(
        execFileSync('zstd', ['-dc'], { input: file, maxBuffer: 64 * MIB, stdio: 'pipe' }).equals(
          DISK,
        ),
      )
    const gzip = (await library.findExport(parseSha256(digest)))!
    assert.ok(gunzipSync(await readAll(gzip.read({ start: 0, end: gzip.totalBytes }))).equals(DISK))
  })

  it('lets a sweep take the old forms once nobody reads them', async () => {
    const old = async () => (await chunkFilesOf(test.folder)).filter((path) => path.includes('~'))
    assert.equal((await old()).length, CHUNKS)
    await library.sweep()
    assert.deepEqual(await old(), [])
    for (let index = 0; index < CHUNKS; index++) await test.store.read(chunkHash(DISK, index))
  })

  it('keeps old forms for an export that began before the layouts were renewed', async () => {
    const disk = compressibleDisk(CHUNKS, 'renewed late ')
    const { digest } = await captureDisk(test.store, library, 'late', disk)
    await again()
    const replaced = Promise.withResolvers<void>()
    const readOn = Promise.withResolvers<void>()
    let count = 0
    const store: ChunkStore = {
      ...test.store,
      async replace(...args) {
        const done = await test.store.replace(...args)
        if (++count < CHUNKS) return done
        replaced.resolve()
        await readOn.promise
        return done
      },
    }
    const { finishedAt } = await state()
    await using _job = openRound(database, library, { store })
    await replaced.promise
    const before = (await library.findExport(parseSha256(digest), ZSTD_EXPORT))!
    const open = before.read({ start: 0, end: before.totalBytes })
    const first = Buffer.from((await open.next()).value as Uint8Array)
    readOn.resolve()
    await waitFor('the round', async () => (await state()).finishedAt !== finishedAt)
    await library.sweep()
    const whole = Buffer.concat([first, await readAll(open)])
    assert.equal(whole.length, before.totalBytes)
    await library.sweep()
  })

  it('does not try again what it is done with, over restarts', async () => {
    const { triedChunks, finishedAt } = await state()
    const read: string[] = []
    const store: ChunkStore = {
      ...test.store,
      read: (hash, ...rest) => {
        read.push(hash)
        return test.store.read(hash, ...rest)
      },
    }
    const later = await round(store)
    assert.notEqual(later.finishedAt, finishedAt)
    assert.equal(later.triedChunks, triedChunks)
    assert.deepEqual(read, [])
  })

  it('stops when something begins, and goes on where it was', async () => {
    const disk = compressibleDisk(CHUNKS, 'another ')
    await captureDisk(test.store, library, 'another', disk)
    const { replacedChunks = 0 } = await state()
    await again()
    const replaced: string[] = []
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const store: ChunkStore = {
      ...test.store,
      async read(...args) {
        // However fast the others would be.
        if (replaced.length > 0) await asked
        return await test.store.read(...args)
      },
      async replace(hash, bytes) {
        const done = await test.store.replace(hash, bytes)
        replaced.push(hash)
        return done
      },
    }
    async function isIdle(): Promise<boolean> {
      if (replaced.length > 0) ask()
      return replaced.length === 0
    }
    {
      await using job = openRound(database, library, { store, isIdle })
      await waitFor('the first chunk', async () => replaced.length > 0)
      await waitFor('its end', async () => !job.isWorking)
    }
    const stopped = replaced.length
    assert.ok(stopped < CHUNKS)
    // Exports still find the forms that they name.
    const { digest } = (await findImage(database.db, 'another'))!
    const open = (await library.findExport(parseSha256(digest)))!
    assert.ok(gunzipSync(await readAll(open.read({ start: 0, end: open.totalBytes }))).equals(disk))

    const { finishedAt } = await state()
    await using _job = openRound(database, library)
    await waitFor('the rest', async () => (await state()).finishedAt !== finishedAt)
    assert.equal((await state()).replacedChunks, replacedChunks + CHUNKS)
    assert.equal((await state()).isUnrenewed, false)
  })

  it('waits for room where there is none for another form, with the old ones no longer named', async () => {
    await captureDisk(test.store, library, 'full', compressibleDisk(CHUNKS, 'full '))
    await again()
    const { replacedChunks = 0, finishedAt } = await state()
    let left = 2
    let tries = 0
    const store: ChunkStore = {
      ...test.store,
      async replace(hash, bytes) {
        tries++
        if (left === 0) throw new StoreFullError('There is no room')
        left--
        return await test.store.replace(hash, bytes)
      },
    }
    let looks = 0
    const hasRoom = async () => {
      if (tries > 0) looks++
      return left > 0
    }
    await using job = openRound(database, library, { store, hasRoom })
    await waitFor('its end', async () => tries === 3 && !job.isWorking)
    job.wake()
    await waitFor('another look', async () => looks > 0)
    assert.equal(tries, 3)
    assert.equal((await state()).replacedChunks, replacedChunks + 2)
    assert.equal((await state()).isUnrenewed, false)
    left = CHUNKS
    job.wake()
    await waitFor('the rest', async () => (await state()).finishedAt !== finishedAt)
    assert.equal((await state()).replacedChunks, replacedChunks + CHUNKS)
  })

  it('leaves a store alone that is full and did not say so before, unless it is asked to', async () => {
    const { replacedChunks, finishedAt } = await state()
    let isFull = true
    let tries = 0
    let looks = 0
    const store: ChunkStore = {
      ...test.store,
      async replace(hash, bytes) {
        tries++
        if (isFull) throw new StoreFullError('The bucket is full')
        return await test.store.replace(hash, bytes)
      },
    }
    const isIdle = async () => {
      looks++
      return true
    }
    await captureDisk(test.store, library, 'bucket', compressibleDisk(CHUNKS, 'bucket '))
    await again()
    await using job = openRound(database, library, { store, isIdle })
    await waitFor('its end', async () => tries > 0 && !job.isWorking)
    for (const _ of [1, 2]) {
      const before = looks
      job.wake()
      await waitFor('another look', async () => looks > before)
    }
    assert.equal(tries, 1)
    assert.equal((await state()).replacedChunks, replacedChunks)
    isFull = false
    await again()
    job.wake()
    await waitFor('the rest', async () => (await state()).finishedAt !== finishedAt)
  })

  it('is one server’s at a time', async () => {
    await captureDisk(test.store, library, 'third', compressibleDisk(CHUNKS, 'third '))
    const { finishedAt, replacedChunks = 0 } = await state()
    await again()
    let working = 0
    let most = 0
    const store: ChunkStore = {
      ...test.store,
      async read(...args) {
        most = Math.max(most, ++working)
        return test.store.read(...args).finally(() => working--)
      },
    }
    await using _one = openRound(database, library, { store })
    await using _two = openRound(database, library, { store })
    await waitFor('a round', async () => (await state()).finishedAt !== finishedAt)
    assert.equal(most, 1)
    assert.equal((await state()).replacedChunks, replacedChunks + CHUNKS)
  })

  it('leaves a chunk of which it can make nothing, does the others, and does not try it again', async (t) => {
    const disk = compressibleDisk(3, 'stubborn ')
    await captureDisk(test.store, library, 'stubborn', disk)
    const { replacedChunks = 0 } = await state()
    const recompress = Reflect.get(Recompressor.prototype, 'recompress') as Recompress
    const tried: string[] = []
    // As a library with a bug, or a computer with bad memory, would have it.
    t.mock.method(Recompressor.prototype, 'recompress', async function (
      this: Recompressor,
      hash,
      stored,
    ) {
      tried.push(hash)
      if (hash === chunkHash(disk, 1))
        return { kind: 'failed', reason: 'it inflates to other content' }
      return await recompress.call(this, hash, stored)
    } satisfies Recompress)
    const before = await test.store.read(chunkHash(disk, 1))
    const after = await round()
    assert.equal(after.replacedChunks, replacedChunks + 2)
    for (const index of [0, 1, 2]) assert.ok(tried.includes(chunkHash(disk, index)))
    assert.deepEqual(await test.store.read(chunkHash(disk, 1)), before)
    tried.length = 0
    await round()
    assert.deepEqual(tried, [])
  })

  it('stops when it is turned off, on whichever server', async (t) => {
    await captureDisk(test.store, library, 'fourth', compressibleDisk(CHUNKS, 'fourth '))
    await again()
    const reading = Promise.withResolvers<void>()
    const stopped = Promise.withResolvers<void>()
    const store: ChunkStore = {
      ...test.store,
      async read(...args) {
        reading.resolve()
        await stopped.promise
        return test.store.read(...args)
      },
    }
    await using _job = openRound(database, library, { store })
    await reading.promise
    const { finishedAt } = await state()
    const stop = t.mock.method(Recompressor.prototype, 'stop')
    await changeJob(database.db, 'recompress', { enabled: false, requestedAt: null })
    await waitFor('a look', async () => stop.mock.callCount() > 0)
    stopped.resolve()
    const claimed = async () => (await getJob(database.db, 'recompress')).claimedUntil !== null
    await waitFor('the end', async () => !(await claimed()))
    assert.equal((await state()).finishedAt, finishedAt)
    await changeJob(database.db, 'recompress', { enabled: true })
  })

  it('writes down what a chunk is stored as, not what it made of one that went and came again', async () => {
    const disk = compressibleDisk(1, 'anew ')
    const upload = () =>
      library.upload({ name: 'anew', body: Readable.from([disk]), sectorBytes: undefined })
    await upload()
    let wentAndCame = 0
    await round({
      ...test.store,
      async replace(hash, bytes) {
        const isReplaced = await test.store.replace(hash, bytes)
        if (hash !== chunkHash(disk, 0)) return isReplaced
        await deleteImage(database.db, 'anew', { unassign: false, check: undefined })
        assert.ok((await library.sweep()) > 0)
        await upload()
        wentAndCame++
        return isReplaced
      },
    })
    assert.equal(wentAndCame, 1)
    const { digest } = (await findImage(database.db, 'anew'))!
    const file = (await library.findExport(parseSha256(digest)))!
    const bytes = await readAll(file.read({ start: 0, end: file.totalBytes }))
    assert.ok(gunzipSync(bytes).equals(disk))
  })

  it('goes on beside uploads, deletions and sweeps, and every image stays whole', async () => {
    const shared = compressibleDisk(4, 'shared ')
    const contents = new Map<string, Buffer>()
    let isOver = false
    async function recompress(): Promise<void> {
      while (!isOver) await round()
    }
    async function sweep(): Promise<void> {
      while (!isOver) await library.sweep()
    }
    async function work(worker: number): Promise<void> {
      for (let turn = 0; turn < 5; turn++) {
        const name = `worker-${worker}`
        const own = compressibleDisk(1, `${worker} ${turn} `)
        const disk = Buffer.concat([shared.subarray((turn % 3) * MIB), own])
        const body = Readable.from([disk])
        await library.upload({ name, body, sectorBytes: undefined })
        contents.set(name, disk)
        if (turn % 2 === 1) {
          await deleteImage(database.db, name, { unassign: false, check: undefined })
          contents.delete(name)
        }
      }
    }
    const care = [recompress(), sweep()]
    await Promise.all([0, 1, 2].map(work))
    isOver = true
    await Promise.all(care)
    await round()
    await library.sweep()
    assert.equal(contents.size, 3)
    for (const [name, disk] of contents) {
      const { digest } = (await findImage(database.db, name))!
      for (const format of [GZIP_EXPORT, ZSTD_EXPORT]) {
        const open = (await library.findExport(parseSha256(digest), format))!
        const file = await readAll(open.read({ start: 0, end: open.totalBytes }))
        assert.equal(file.length, open.totalBytes)
        if (format === GZIP_EXPORT) assert.ok(gunzipSync(file).equals(disk), name)
      }
    }
  })
})
