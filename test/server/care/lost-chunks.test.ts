import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseSha256 } from '#protocol/sha256.ts'
import { createDamageCare } from '#server/care/damage.ts'
import { listDamage } from '#server/db/images/damaged-chunks.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { openTestDatabase } from '#test/support/database.ts'
import { MIB } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { captureDisk, chunkHash, log, openLibrary, removeChunk } from './care-lab.ts'

const CHUNKS = 300

it('a look for the chunks of an image ends soon after its time, and what it found counts', async () => {
  await using database = await openTestDatabase()
  await using test = await openTestStore()
  await using library = openLibrary(database, 'embedded', test)
  const disk = Buffer.alloc(CHUNKS * MIB)
  for (let index = 0; index < CHUNKS; index++) disk.writeUInt16LE(index + 1, index * MIB)
  const { digest } = await captureDisk(test.store, library, 'disk', disk)
  const gone = [1, 2].map((index) => chunkHash(disk, index))
  for (const hash of gone) await removeChunk(test.folder, hash)

  const time = new AbortController()
  let looked = 0
  const store: ChunkStore = {
    ...test.store,
    async touch(hashes) {
      looked += hashes.length
      time.abort()
      return await test.store.touch(hashes)
    },
  }
  const { lock } = library
  const damage = createDamageCare({ db: database.db, store, lock, source: undefined, log })
  await assert.rejects(damage.findLostOf(parseSha256(digest), time.signal), { name: 'AbortError' })
  assert.ok(looked < CHUNKS, `${looked} were looked for`)
  const known = (await listDamage(database.db)).map(({ hash }) => hash)
  assert.deepEqual([known.length, gone.includes(known[0]!)], [1, true])
})
