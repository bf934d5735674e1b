import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import { createDamageCare } from '#server/care/damage.ts'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { openTestDatabase } from '#test/support/database.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { openTestApp } from '#test/support/test-app.ts'
import { captureDisk, chunkHash, log, openLibrary, removeChunk, rot } from './care-lab.ts'

const CONTENT = Buffer.alloc(MIB, 'the content ')
const HASH = sha256(CONTENT)

it('a chunk that is healed while it is found damaged is not set aside', async () => {
  await using database = await openTestDatabase()
  await using test = await openTestStore()
  await test.store.putIfAbsent(HASH, gzipSync(CONTENT))
  await rot(test.folder, HASH)
  let isHealed = false
  const store: ChunkStore = {
    ...test.store,
    async read(...args) {
      const stored = await test.store.read(...args)
      // Between the look and what comes of it, as another server would.
      if (!isHealed) await test.store.replace(HASH, gzipSync(CONTENT, { level: 1 }))
      isHealed = true
      return stored
    },
  }
  const lock = createCommitLock()
  const care = createDamageCare({ db: database.db, store, lock, source: undefined, log })
  await care.found(HASH, 'its content has another hash')
  assert.ok(isHealed)
  assert.ok(CONTENT.equals(await readContent(test.store, HASH)))
  assert.deepEqual(await readdir(join(test.folder, 'quarantine')), [])
})

it('a lost chunk is back only if it is what it should be, and holds up no other', async () => {
  const env = { STAMPEDE_RECOMPRESS: 'off', STAMPEDE_SCRUB_HOURS: '0' }
  await using app = await openTestApp({ env })
  const folder = join(app.dataFolder, 'store')
  const disk = randomBytes(4 * MIB)
  const { body: image } = await app.call<Image>('PUT', '/api/images/golden', disk)
  const hashes = [1, 2].map((index) => chunkHash(disk, index))
  for (const hash of hashes) await removeChunk(folder, hash)
  const ask = () => app.call<Refusal>('GET', `/images/by-digest/${image.digest}?complete=1`)
  const lacks = async (words: string) => {
    const { status, body } = await ask()
    assert.equal(status, 409)
    assert.ok(body.error.message.includes(words), body.error.message)
  }
  await lacks('lacks 2 chunks')
  const [right, wrong] = hashes
  await writeChunk(folder, right!, disk.subarray(MIB, 2 * MIB))
  await writeChunk(folder, wrong!, disk.subarray(MIB, 2 * MIB))
  await lacks('lacks a chunk')
  await writeChunk(folder, wrong!, disk.subarray(2 * MIB, 3 * MIB))
  assert.equal((await ask()).status, 200)
})

it('a chunk that is put while lost ones are looked for is not lost, nor touched', async () => {
  await using database = await openTestDatabase()
  await using test = await openTestStore()
  await using library = openLibrary(database, 'embedded', test)
  const disk = randomBytes(2 * MIB)
  await captureDisk(test.store, library, 'golden', disk)
  const store: ChunkStore = {
    ...test.store,
    async *list() {},
    touch: async () => assert.fail('A sweep that has begun would spare what is garbage by now'),
  }
  const lock = createCommitLock()
  const care = createDamageCare({ db: database.db, store, lock, source: undefined, log })
  assert.equal(await care.findLost(AbortSignal.timeout(60_000)), 0)
})

type Refusal = { error: { code: string; message: string } }

/** As somebody does who brings files back from a backup. */
async function writeChunk(folder: string, hash: string, content: Uint8Array): Promise<void> {
  await writeFile(join(folder, hash.slice(0, 2), `${hash.slice(2)}.gz`), gzipSync(content))
}
