import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs, { mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  StoreFullError,
  StoreUnreachableError,
} from '#server/images/store/chunk-store.ts'
import { ChunkRefusedError } from '#server/images/store/chunk-threads.ts'
import {
  createDirectoryStore,
  prepareDirectoryStore,
} from '#server/images/store/directory-store.ts'
import { importImage } from '#server/images/import/import-image.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { testChunkStore } from '#test/suites/chunk-store.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openTestStore } from '#test/support/image-store.ts'

const CONTENT = Buffer.alloc(MIB, 'the content ')
const HASH = sha256(CONTENT)
const MEMBER = gzipSync(CONTENT)
const FRAME = zstdCompressSync(CONTENT)

const pathOf = (folder: string, hash = HASH) =>
  join(folder, hash.slice(0, 2), `${hash.slice(2)}.gz`)

const sweep = (store: ChunkStore, cutoff: Date, isLive = () => false) =>
  store.sweep({ prefix: HASH.slice(0, 2), isLive, cutoff })

describe('directory store', () => {
  testChunkStore(async () => {
    const test = await openTestStore()
    return {
      ...test,
      damage: (hash, bytes) => writeFile(pathOf(test.folder, hash), bytes),
      names: test.files,
    }
  })

  it('replaces a stump of one codec by a whole chunk of the other', async () => {
    await using test = await openTestStore()
    for (const [stump, whole] of [
      [MEMBER, FRAME],
      [FRAME, MEMBER],
    ] as const) {
      await test.store.putIfAbsent(HASH, stump)
      const [name] = await test.files()
      await truncate(join(test.folder, HASH.slice(0, 2), name!), 0)
      await test.store.putIfAbsent(HASH, whole)
      assert.ok(Buffer.from((await test.store.read(HASH)).bytes).equals(whole))
      assert.equal((await test.files()).length, 1)
      await sweep(test.store, new Date(Date.now() + 1))
    }
  })

  it('tells missing, corrupt and unreachable apart', async () => {
    await using test = await openTestStore()
    await assert.rejects(test.store.read(HASH), ChunkMissingError)
    await test.store.putIfAbsent(HASH, MEMBER)
    await writeFile(pathOf(test.folder), Buffer.from(MEMBER).fill(1, 1000, 1010))
    await assert.rejects(readContent(test.store, HASH), ChunkCorruptError)
    await truncate(pathOf(test.folder), 0)
    await assert.rejects(test.store.read(HASH), ChunkCorruptError)
    await rm(join(test.folder, HASH.slice(0, 2)), { recursive: true })
    await writeFile(join(test.folder, HASH.slice(0, 2)), 'a file where a folder should be')
    await assert.rejects(test.store.read(HASH), StoreUnreachableError)
    await assert.rejects(test.store.touch([HASH]), StoreUnreachableError)
  })

  it('stores what nobody has looked into only under the hash of its content', async () => {
    await using test = await openTestStore()
    const other = sha256(Buffer.from('other content'))
    assert.equal(await test.store.putIfRight!(other, MEMBER), HASH)
    assert.equal((await test.store.touch([HASH, other])).size, 0)
    await assert.rejects(test.store.putIfRight!(HASH, MEMBER.subarray(0, 50)), ChunkRefusedError)
    assert.equal(await test.store.putIfRight!(HASH, MEMBER), HASH)
    assert.equal((await test.store.touch([HASH])).size, 1)
  })

  it('looks once more for a chunk where its disk was mounted in the middle of a look', async (t) => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await rename(test.folder, `${test.folder}.away`)
    const { stat } = fs
    let looks = 0
    // The look for the chunk found nothing; the one for the store comes next.
    t.mock.method(fs, 'stat', async (path: string) => {
      if (path === join(test.folder, 'tmp') && looks++ === 0)
        await rename(`${test.folder}.away`, test.folder)
      return stat(path)
    })
    syncBuiltinESMExports()
    try {
      assert.ok(Buffer.from((await test.store.read(HASH)).bytes).equals(MEMBER))
    } finally {
      t.mock.reset()
      syncBuiltinESMExports()
    }
    assert.equal(looks, 1)
  })

  it('replaces the stump that a power failure left', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await truncate(pathOf(test.folder), 0)
    assert.equal((await test.store.touch([HASH])).size, 0)
    await test.store.putIfAbsent(HASH, MEMBER)
    assert.ok((await readFile(pathOf(test.folder))).equals(MEMBER))
  })

  it('forgets at its start what a crash left half-written', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await writeFile(join(test.folder, 'tmp', 'half'), MEMBER.subarray(0, 100))
    await prepareDirectoryStore(test.folder)
    assert.equal((await test.files()).length, 1)
  })

  it('leaves at its start what another server writes at this moment', async () => {
    await using test = await openTestStore()
    const written = join(test.folder, 'tmp', 'half')
    await writeFile(written, MEMBER.subarray(0, 100))
    await prepareDirectoryStore(test.folder, 60_000)
    assert.equal((await readFile(written)).length, 100)
    await prepareDirectoryStore(test.folder, 1)
    await assert.rejects(readFile(written), { code: 'ENOENT' })
  })

  it('says that the disk is full, and works again when it is not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', folder])
    try {
      await mkdir(join(folder, 'store'))
      await prepareDirectoryStore(join(folder, 'store'))
      const store = createDirectoryStore({ folder: join(folder, 'store'), flush: async () => {} })
      const options = { store, spoolFolder: folder, maxImageBytes: 2 ** 40 }
      async function* upload() {
        for (let part = 0; part < 8; part++) yield diskContent({ chunks: 2, lastBytes: MIB })
      }
      await assert.rejects(importImage(upload(), options), StoreFullError)
      execFileSync('sh', ['-c', 'rm -r "$0"/store/[0-9a-f][0-9a-f]', folder])
      await prepareDirectoryStore(join(folder, 'store'))
      await store.putIfAbsent(HASH, MEMBER)
      assert.ok((await readContent(store, HASH)).length === MIB)
    } finally {
      execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })

  it(
    'is read from while its disk is read-only, which whoever stores is told',
    { skip: NEEDS_ROOT },
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'stampede-read-only-'))
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'stampede', folder])
      try {
        await prepareDirectoryStore(folder)
        const store = createDirectoryStore({ folder, flush: async () => {} })
        await store.putIfAbsent(HASH, MEMBER)
        execFileSync('mount', ['-o', 'remount,ro', folder])
        const other = Buffer.alloc(MIB, 'other content ')
        const put = () => store.putIfAbsent(sha256(other), gzipSync(other))
        await assert.rejects(put(), (err) => {
          assert.ok(err instanceof StoreUnreachableError)
          return err.message.startsWith('The chunk store cannot be written: EROFS')
        })
        assert.deepEqual(await readContent(store, HASH), CONTENT)
        execFileSync('mount', ['-o', 'remount,rw', folder])
        await put()
      } finally {
        execFileSync('umount', [folder])
        await rm(folder, { recursive: true })
      }
    },
  )
})
