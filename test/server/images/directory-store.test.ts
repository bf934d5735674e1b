import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  StoreFullError,
  StoreUnreachableError,
} from '#server/images/chunk-store.ts'
import { createDirectoryStore, prepareDirectoryStore } from '#server/images/directory-store.ts'
import { importImage } from '#server/images/import-image.ts'
import { readContent } from '#server/images/chunk-codec.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
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
  it('keeps the first of many writers, whole', async () => {
    await using test = await openTestStore()
    const levels = [1, 6, 9].map((level) => gzipSync(CONTENT, { level }))
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => test.store.putIfAbsent(HASH, levels[index % 3]!)),
    )
    const { bytes, codec } = await test.store.read(HASH)
    assert.equal(codec, 'gzip')
    assert.ok(gunzipSync(bytes).equals(CONTENT))
    assert.equal((await test.files()).length, 1)
  })

  it('keeps one of a member and a frame that come at once', async () => {
    await using test = await openTestStore()
    for (let round = 0; round < 20; round++) {
      const forms = round % 2 === 0 ? [MEMBER, FRAME] : [FRAME, MEMBER]
      await Promise.all(forms.map((bytes) => test.store.putIfAbsent(HASH, bytes)))
      assert.equal((await test.files()).length, 1)
      assert.equal((await test.store.read(HASH)).codec, round % 2 === 0 ? 'gzip' : 'zstd')
      const size = (await test.store.touch([HASH])).get(HASH)
      assert.equal(size?.contentBytes, MIB)
      assert.equal(await sweep(test.store, new Date(Date.now() + 1)), 1)
      assert.deepEqual(await test.files(), [])
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

  it('replaces the stump that a power failure left', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await truncate(pathOf(test.folder), 0)
    assert.equal((await test.store.touch([HASH])).size, 0)
    await test.store.putIfAbsent(HASH, MEMBER)
    assert.ok((await readFile(pathOf(test.folder))).equals(MEMBER))
  })

  it('sweeps what is neither live nor touched since the cutoff', async () => {
    await using test = await openTestStore()
    const before = new Date()
    await test.store.putIfAbsent(HASH, MEMBER)
    assert.equal(await sweep(test.store, before), 0)
    const after = new Date(Date.now() + 1)
    assert.equal(await sweep(test.store, after, () => true), 0)
    assert.equal(await sweep(test.store, after), 1)
    assert.deepEqual(await test.files(), [])
  })

  it('never loses a chunk that was touched while it was being swept', async () => {
    await using test = await openTestStore()
    for (let round = 0; round < 150; round++) {
      await test.store.putIfAbsent(HASH, MEMBER)
      const cutoff = new Date(Date.now() + 1)
      while (new Date() < cutoff) await new Promise((resolve) => setImmediate(resolve))
      const [, touched] = await Promise.all([sweep(test.store, cutoff), test.store.touch([HASH])])
      // Whoever was told that it is there finds it there.
      if (touched.has(HASH)) await test.store.read(HASH)
    }
  })

  it('forgets at its start what a crash left half-written', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await writeFile(join(test.folder, 'tmp', 'half'), MEMBER.subarray(0, 100))
    await prepareDirectoryStore(test.folder)
    assert.equal((await test.files()).length, 1)
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
})
