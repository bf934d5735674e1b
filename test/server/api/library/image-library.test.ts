import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { eq, sql } from 'drizzle-orm'
import pino from 'pino'
import { decodeSegment } from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { openImageLibrary, type ImageLibrary } from '#server/api/library/image-library.ts'
import { createSweepClock } from '#server/api/library/sweep-clock.ts'
import type { OpenedDatabase, Transaction } from '#server/db/database.ts'
import { createDatabaseCommitLock } from '#server/db/images/commit-lock.ts'
import { deleteImage } from '#server/db/images/image-changes.ts'
import { findImage, listImages } from '#server/db/images/image-queries.ts'
import { closeUpload, listLongExports } from '#server/db/images/uploads.ts'
import { manifests } from '#server/db/schema.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { diskContent, sha256 } from '#test/support/disk-content.ts'
import { openTestStore, type TestStore } from '#test/support/image-store.ts'

/** A sweep of a small store takes less, if nothing keeps it waiting. */
const SWEEP_MILLISECONDS = 1000
/** When other servers are told of what goes out. */
const TOLD_MILLISECONDS = 60_000
const AHEAD_MILLISECONDS = 900_000

describeOnEveryDatabase('the image library', (openTestDatabase, kind) => {
  let database: OpenedDatabase
  let test: TestStore
  before(async () => {
    database = await openTestDatabase()
    test = await openTestStore()
  })
  after(async () => {
    await test[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  })

  async function withLibrary(
    flush: (library: ImageLibrary) => Promise<void>,
    use: (library: ImageLibrary) => Promise<void>,
  ): Promise<void> {
    const store: ChunkStore = { ...test.store, flush: () => flush(library) }
    await using library: ImageLibrary = openImageLibrary(options(store))
    await use(library)
  }

  const options = (store: ChunkStore) => ({
    database,
    store,
    lock: kind === 'postgres' ? createDatabaseCommitLock(database.db) : createCommitLock(),
    spoolFolder: test.spoolFolder,
    maxImageBytes: 2 ** 40,
    log: pino({ level: 'silent' }),
    now: () => new Date(),
  })

  const upload = (library: ImageLibrary, name: string, content = diskContent()) =>
    library.upload({
      name,
      body: Readable.from([content]),
      sectorBytes: undefined,
      source: undefined,
    })

  it('shows an image only after its chunks are on the disk', async () => {
    const seen: unknown[] = []
    const find = () => findImage(database.db, 'flushed')
    const flush = async () => void seen.push(await find())
    await withLibrary(flush, async (library) => {
      await upload(library, 'flushed')
      assert.deepEqual(seen, [undefined])
      assert.ok(await find())
    })
  })

  it('keeps the older image when the new one cannot be flushed', async () => {
    let fails = false
    const flush = async () => {
      if (fails) throw new Error('The disk is gone')
    }
    await withLibrary(flush, async (library) => {
      await upload(library, 'older')
      // Which counts what the image has alone; else the background does so at some time.
      await library.sweep()
      const older = await findImage(database.db, 'older')
      fails = true
      await assert.rejects(upload(library, 'older', diskContent({ chunks: 2 })), /The disk is gone/)
      assert.deepEqual(await findImage(database.db, 'older'), older)
    })
  })

  it('sweeps nothing while an image is being made', async () => {
    const order: string[] = []
    let swept: Promise<unknown> = Promise.resolve()
    const flush = async (library: ImageLibrary) => {
      swept = library.sweep().then(() => order.push('swept'))
      await Promise.race([swept, sleep(SWEEP_MILLISECONDS)])
      order.push('flushed')
    }
    await withLibrary(flush, async (library) => {
      await upload(library, 'kept')
      await swept
      assert.deepEqual(order, ['flushed', 'swept'])
    })
  })

  it('keeps what comes during a sweep of a server whose clock is ahead', async (context) => {
    const lock = kind === 'postgres' ? createDatabaseCommitLock(database.db) : createCommitLock()
    const { store } = test
    await using behind = openImageLibrary({ ...options(store), lock })
    const begun = sha256(Buffer.from('of an upload that goes on'))
    let during: Promise<unknown> | undefined
    let turns = 0
    async function bring(): Promise<void> {
      context.mock.timers.reset()
      await upload(behind, 'during-a-sweep', diskContent({ chunks: 3 }))
      await behind.touch('user:of-the-tests')
      await store.putIfAbsent(begun, gzipSync('of an upload that goes on'))
    }
    await using ahead = openImageLibrary({
      ...options(store),
      lock: {
        ...lock,
        exclusive: async (work) => {
          // The first is about manifests, all others about chunks.
          if (++turns > 1) await (during ??= bring())
          return lock.exclusive(work)
        },
      },
      // Its own clock was not set.
      sweepClock: createSweepClock(() => performance.now()),
    })
    context.mock.timers.enable({ apis: ['Date'], now: Date.now() + AHEAD_MILLISECONDS })
    await ahead.sweep()
    assert.ok(during)
    const { digest } = (await findImage(database.db, 'during-a-sweep'))!
    const disk = await behind.openDisk(parseSha256(digest))
    const [segment] = disk!.segments
    await disk![Symbol.asyncDispose]()
    for (const hash of decodeSegment(await readContent(store, segment!)))
      if (hash !== 'zero' && hash !== 'unused') await store.read(hash)
    await store.read(begun)
    await closeUpload(database.db, 'user:of-the-tests')
  })

  it(
    'keeps an image whose content nothing needed until then',
    { skip: kind !== 'postgres' },
    async () => {
      const { db } = database
      const waiting = sql<number>`(select count(*)::int from pg_locks where not granted)`
      async function untilWaiting(tx: Transaction, count: number): Promise<void> {
        for (let seen = 0; seen < count;) {
          const [found] = await tx.select({ waiting }).from(sql`(values (1)) one`)
          seen = found!.waiting
        }
      }
      await using library = openImageLibrary(options(test.store))
      const content = diskContent({ chunks: 4 })
      const digest = parseSha256((await upload(library, 'needed-again', content)).digest)
      const done = await db.transaction(async (tx) => {
        await tx.select().from(manifests).where(eq(manifests.digest, digest)).for('update')
        await deleteImage(db, 'needed-again', { unassign: false })
        const swept = library.sweep()
        await untilWaiting(tx, 1)
        const again = upload(library, 'needed-again', content)
        await untilWaiting(tx, 2)
        return { both: Promise.all([swept, again]) }
      })
      await done.both
      assert.equal((await findImage(db, 'needed-again'))?.digest, digest)
    },
  )

  it('begins no sweep any more once it is closed', async () => {
    const looks: string[] = []
    const clock = createSweepClock()
    {
      await using library = openImageLibrary({
        ...options(test.store),
        sweepClock: {
          ...clock,
          over: (...open) => {
            looks.push('a sweep looks for open uploads')
            return clock.over(...open)
          },
        },
      })
      library.sweepSoon()
    }
    const before = looks.length
    for (let round = 0; round < 3; round++) await findImage(database.db, 'flushed')
    assert.equal(looks.length, before)
  })

  it('lets go of what went out, also without a database that could be told', async (context) => {
    context.mock.timers.enable({ apis: ['setInterval'] })
    const own = await openTestDatabase()
    await using other = await openTestStore()
    await using library = openImageLibrary({ ...options(other.store), database: own })
    const { digest } = await upload(library, 'gone-out')
    const disk = await library.openDisk(parseSha256(digest))
    context.mock.timers.tick(TOLD_MILLISECONDS)
    while ((await listLongExports(own.db)).length === 0) await sleep(10)
    await own[Symbol.asyncDispose]()
    await disk![Symbol.asyncDispose]()
  })

  it('says what the store takes, each chunk once, and what sharing saves', async () => {
    await withLibrary(
      async () => {},
      async (library) => {
        const disk = diskContent({ chunks: 5 })
        const { storedBytes } = await upload(library, 'counted', disk)
        await upload(library, 'counted-again', Buffer.concat([disk, Buffer.alloc(512, 'x')]))
        await library.sweep()
        const sizes = await Promise.all(
          (await readdir(test.folder, { recursive: true, withFileTypes: true }))
            .filter((entry) => entry.isFile())
            .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
        )
        const onDisk = sizes.reduce((sum, size) => sum + size, 0)
        const statistics = await library.statistics()
        assert.equal(statistics.storedBytes, onDisk)
        assert.ok(statistics.savedBytes > storedBytes / 2, `${statistics.savedBytes} are saved`)
        const { items } = await listImages(database.db, { limit: 100, after: undefined })
        assert.equal(statistics.images, items.length)
        const summed = items.reduce((sum, image) => sum + image.storedBytes, 0)
        assert.equal(statistics.savedBytes, summed - onDisk)
      },
    )
  })

  it('removes nothing any more once a newer release has changed the database', async () => {
    const content = Buffer.alloc(8192, 'only the newer one knows what for')
    await test.store.putIfAbsent(sha256(content), gzipSync(content))
    await using library = openImageLibrary(options(test.store))
    await database.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('f', 9999999999999)`,
    )
    await assert.rejects(library.sweep(), { code: 'newer-release', message: /newer release/ })
    await test.store.read(sha256(content))
    await database.db.execute(sql`delete from drizzle.__drizzle_migrations where hash = 'f'`)
    assert.ok((await library.sweep()) > 0)
  })
})
