import assert from 'node:assert/strict'
import { cp, mkdtempDisposable, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { gunzipSync, zstdCompressSync } from 'node:zlib'
import type { StoreStatus } from '#protocol/store.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { createDamageCare } from '#server/care/damage.ts'
import { openTestDatabase } from '#test/support/database.ts'
import { MIB } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import {
  captureDisk,
  chunkFilesOf,
  chunkHash,
  compressibleDisk,
  log,
  openLibrary,
  readAll,
  waitFor,
} from './care-lab.ts'

const CHUNKS = 3

async function recompress(app: TestApp): Promise<void> {
  await app.call('POST', '/api/store/recompress')
  await waitFor('recompression', async () => {
    const { body } = await app.call<StoreStatus>('GET', '/api/store')
    return body.recompression.finishedAt !== null
  })
}

async function removeOldForms(folder: string): Promise<number> {
  const old = (await chunkFilesOf(folder)).filter((path) => path.includes('~'))
  for (const path of old) await rm(path)
  return old.length
}

it('images of a database that is older than its store are exported as it has them now', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-restored-'))
  const [data, store] = [join(folder.path, 'data'), join(folder.path, 'store')]
  const env = {
    STAMPEDE_DATA: data,
    STAMPEDE_STORE: `file:${store}`,
    STAMPEDE_RECOMPRESS: 'off',
  }
  const disk = compressibleDisk(CHUNKS)
  {
    await using app = await openTestApp({ env })
    assert.equal((await app.call('POST', '/api/images/debian', disk)).status, 201)
  }
  const saved = join(folder.path, 'saved')
  await cp(data, saved, { recursive: true })
  {
    await using app = await openTestApp({ env })
    await recompress(app)
  }
  await rm(data, { recursive: true })
  await cp(saved, data, { recursive: true })
  // As a sweep does while the copy lies on its shelf.
  assert.ok((await removeOldForms(store)) >= CHUNKS)

  await using app = await openTestApp({ env })
  const response = await fetch(`${app.url}/images/debian.img.gz`, {
    headers: { authorization: `Bearer ${app.adminToken.token}` },
  })
  assert.ok(gunzipSync(await response.arrayBuffer(), { maxOutputLength: 64 * MIB }).equals(disk))
})

it('one download that fails is enough for all chunks of an image that was not looked at before', async () => {
  await using database = await openTestDatabase()
  await using test = await openTestStore()
  await using library = openLibrary(database, 'embedded', test)
  const disk = compressibleDisk(CHUNKS)
  const digest = parseSha256((await captureDisk(test.store, library, 'disk', disk)).digest)
  for (let index = 0; index < CHUNKS; index++) {
    const content = disk.subarray(index * MIB, (index + 1) * MIB)
    assert.ok(await test.store.replace(chunkHash(disk, index), zstdCompressSync(content)))
  }
  await removeOldForms(test.folder)

  const { store, lock } = library
  const damage = createDamageCare({ db: database.db, store, lock, source: undefined, log })
  await damage.found(chunkHash(disk, 0), 'it has another form')
  const { read, totalBytes } = (await library.findExport(digest))!
  const bytes = await readAll(read({ start: 0, end: totalBytes }))
  assert.ok(gunzipSync(bytes).equals(disk))
})
