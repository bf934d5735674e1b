import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createDamageCare } from '#server/care/damage.ts'
import { createCommitLock } from '#server/images/commit/commit-lock.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { openTestDatabase } from '#test/support/database.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { log, rot } from './care-lab.ts'

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
