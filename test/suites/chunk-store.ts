import assert from 'node:assert/strict'
import { it } from 'node:test'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { Sha256 } from '#protocol/sha256.ts'
import { readContent, verifiedContent } from '#server/images/store/chunk-codec.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  type ListedChunk,
} from '#server/images/store/chunk-store.ts'
import { importImage } from '#server/images/import/import-image.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { readDisk } from '#test/support/image-store.ts'

export interface OpenedStore extends AsyncDisposable {
  store: ChunkStore
  spoolFolder: string
  /** Puts bytes in the place of a stored chunk's, behind the store's back. */
  damage: (hash: Sha256, bytes: Uint8Array) => Promise<void>
  /** Names of what is stored, whatever it is. */
  names: () => Promise<string[]>
}

const CONTENT = Buffer.alloc(MIB, 'the content ')
const HASH = sha256(CONTENT)
const MEMBER = gzipSync(CONTENT)
const FRAME = zstdCompressSync(CONTENT)
/** Beyond any difference between the clocks of a store and ours. */
const CLOCKS_MILLISECONDS = 60_000
const LATER = () => new Date(Date.now() + CLOCKS_MILLISECONDS)

/** What every chunk store promises. `open` makes an empty one. */
export function testChunkStore(open: () => Promise<OpenedStore>): void {
  const sweep = (store: ChunkStore, cutoff: Date, isLive = () => false) =>
    store.sweep({ prefix: HASH.slice(0, 2), isLive, cutoff })

  it('keeps the first of many writers, whole', async () => {
    await using opened = await open()
    const { store } = opened
    const levels = [1, 6, 9].map((level) => gzipSync(CONTENT, { level }))
    const writers = Array.from({ length: 30 }, (_, index) => levels[index % 3]!)
    await Promise.all(writers.map((bytes) => store.putIfAbsent(HASH, bytes)))
    const first = Buffer.from((await store.read(HASH)).bytes)
    assert.ok(gunzipSync(first).equals(CONTENT))
    await Promise.all(levels.map((bytes) => store.putIfAbsent(HASH, bytes)))
    assert.ok(first.equals((await store.read(HASH)).bytes))
    assert.equal((await opened.names()).length, 1)
  })

  it('keeps one of a member and a frame that come at once', async () => {
    await using opened = await open()
    const { store } = opened
    for (let round = 0; round < 20; round++) {
      await Promise.all([MEMBER, FRAME].map((bytes) => store.putIfAbsent(HASH, bytes)))
      assert.equal((await opened.names()).length, 1)
      const { codec, bytes } = await store.read(HASH)
      const expected = { codec, storedBytes: bytes.length, contentBytes: MIB }
      assert.deepEqual((await store.touch([HASH])).get(HASH), expected)
      assert.equal(await sweep(store, LATER()), 1)
      assert.deepEqual(await opened.names(), [])
    }
  })

  it('reads into a buffer, and without one', async () => {
    await using opened = await open()
    const { store } = opened
    const buffer = Buffer.alloc(2 * MIB)
    for (const chunk of [MEMBER, gzipSync(diskContent({ chunks: 1, lastBytes: MIB }))]) {
      const hash = sha256(gunzipSync(chunk))
      await store.putIfAbsent(hash, chunk)
      const { bytes } = await store.read(hash, buffer)
      assert.equal(bytes.buffer, buffer.buffer)
      assert.ok(chunk.equals(bytes))
      assert.ok(chunk.equals((await store.read(hash)).bytes))
    }
  })

  it('says which of many chunks are here', async () => {
    await using opened = await open()
    const { store } = opened
    const contents = Array.from({ length: 60 }, (_, index) => Buffer.alloc(512, `${index} `))
    const stored = contents.filter((_, index) => index % 3 === 0)
    for (const content of stored) await store.putIfAbsent(sha256(content), gzipSync(content))
    const found = await store.touch(contents.map((content) => sha256(content)))
    assert.deepEqual([...found.keys()].toSorted(), stored.map((each) => sha256(each)).toSorted())
    assert.equal(found.get(sha256(stored[0]!))?.contentBytes, 512)
    assert.deepEqual(await store.touch([]), new Map())
  })

  it('tells missing and corrupt apart', async () => {
    await using opened = await open()
    const { store } = opened
    await assert.rejects(store.read(HASH), ChunkMissingError)
    await store.putIfAbsent(HASH, MEMBER)
    await opened.damage(HASH, Buffer.from(MEMBER).fill(1, 1000, 1010))
    await assert.rejects(readContent(store, HASH), ChunkCorruptError)
    await opened.damage(HASH, Buffer.alloc(0))
    await assert.rejects(store.read(HASH), ChunkCorruptError)
    await opened.damage(HASH, Buffer.from('something else that is long enough'))
    await assert.rejects(store.read(HASH), ChunkCorruptError)
  })

  it('finds what is longer than any chunk damaged, sets it aside, and takes the chunk anew', async () => {
    await using opened = await open()
    const { store } = opened
    await store.putIfAbsent(HASH, MEMBER)
    for (const length of [3 * MIB, 5 * MIB]) {
      await opened.damage(HASH, Buffer.concat([MEMBER, Buffer.alloc(length)]))
      const reading = store.read(HASH, Buffer.alloc(MIB + 65_536))
      await assert.rejects(
        reading.then((stored) => verifiedContent(HASH, stored)),
        ChunkCorruptError,
      )
      assert.equal(await store.quarantine(HASH), true)
      await store.putIfAbsent(HASH, MEMBER)
      assert.ok(CONTENT.equals(await readContent(store, HASH)))
    }
  })

  it('puts a chunk in the place of what is none', async () => {
    await using opened = await open()
    const { store } = opened
    await store.putIfAbsent(HASH, MEMBER)
    await opened.damage(HASH, Buffer.alloc(0))
    assert.equal((await store.touch([HASH])).size, 0)
    await store.putIfAbsent(HASH, MEMBER)
    assert.ok(MEMBER.equals((await store.read(HASH)).bytes))
  })

  it('sweeps what is neither live nor touched since the cutoff', async () => {
    await using opened = await open()
    const { store } = opened
    const before = new Date()
    await store.putIfAbsent(HASH, MEMBER)
    assert.equal(await sweep(store, before), 0)
    assert.equal(await sweep(store, LATER(), () => true), 0)
    assert.equal(await sweep(store, LATER()), 1)
    assert.deepEqual(await opened.names(), [])
    await assert.rejects(store.read(HASH), ChunkMissingError)
  })

  it('spares a chunk that was there long before and is touched after the cutoff', async () => {
    await using opened = await open()
    const { store } = opened
    await store.putIfAbsent(HASH, MEMBER)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const cutoff = new Date()
    await store.touch([HASH])
    assert.equal(await sweep(store, cutoff), 0)
    await store.read(HASH)
  })

  it('never loses a chunk that was touched while it was being swept', async () => {
    await using opened = await open()
    const { store } = opened
    for (let round = 0; round < 100; round++) {
      await store.putIfAbsent(HASH, MEMBER)
      const cutoff = new Date(Date.now() + 1)
      while (new Date() < cutoff) await new Promise((resolve) => setImmediate(resolve))
      const [, touched] = await Promise.all([sweep(store, cutoff), store.touch([HASH])])
      // Whoever was told that it is there finds it there.
      if (touched.has(HASH)) await store.read(HASH)
    }
  })

  it('never loses a chunk that was put while it was being swept', async () => {
    await using opened = await open()
    const { store } = opened
    for (let round = 0; round < 100; round++) {
      await store.putIfAbsent(HASH, MEMBER)
      const cutoff = new Date(Date.now() + 1)
      while (new Date() < cutoff) await new Promise((resolve) => setImmediate(resolve))
      await Promise.all([sweep(store, cutoff), store.putIfAbsent(HASH, MEMBER)])
      await store.read(HASH)
    }
  })

  it('replaces a chunk by another form of it, and the old one stays readable', async () => {
    await using opened = await open()
    const { store } = opened
    assert.equal(await store.replace(HASH, FRAME), false)
    await store.putIfAbsent(HASH, MEMBER)
    assert.equal(await store.replace(HASH, FRAME), true)
    assert.equal((await store.read(HASH)).codec, 'zstd')
    const form = { codec: 'gzip', storedBytes: MEMBER.length } as const
    const buffer = Buffer.alloc(2 * MIB)
    assert.ok(MEMBER.equals((await store.read(HASH, buffer, { form })).bytes))
    const [listed] = await all(store.list(HASH.slice(0, 2)))
    assert.equal(listed?.codec, 'zstd')
    assert.equal(listed.storedBytes, FRAME.length)
    assert.deepEqual(listed.replaced, [form])
    const prefix = HASH.slice(0, 2)
    const isLive = () => true
    await store.sweep({ prefix, isLive, cutoff: LATER(), replacedCutoff: new Date(0) })
    assert.equal((await store.read(HASH, undefined, { form })).codec, 'gzip')
    await store.sweep({ prefix, isLive, cutoff: LATER(), replacedCutoff: LATER() })
    // It is gone; what is there now is what a reader gets.
    assert.ok(FRAME.equals((await store.read(HASH, buffer, { form })).bytes))
    assert.equal((await opened.names()).length, 1)
  })

  it('has no moment without the chunk while it is replaced', async () => {
    await using opened = await open()
    const { store } = opened
    await store.putIfAbsent(HASH, MEMBER)
    const forms = [FRAME, gzipSync(CONTENT, { level: 1 }), MEMBER]
    let isDone = false
    const replacing = (async () => {
      for (let round = 0; round < 12; round++) await store.replace(HASH, forms[round % 3]!)
      isDone = true
    })()
    while (!isDone) assert.ok(CONTENT.equals(await readContent(store, HASH)))
    await replacing
  })

  it('counts a quarantined chunk as absent, and takes it anew', async () => {
    await using opened = await open()
    const { store } = opened
    assert.equal(await store.quarantine(HASH), false)
    await store.putIfAbsent(HASH, MEMBER)
    await opened.damage(HASH, gzipSync(Buffer.alloc(MIB, 'another content ')))
    assert.equal(await store.quarantine(HASH), true)
    assert.equal((await store.touch([HASH])).size, 0)
    await assert.rejects(store.read(HASH), ChunkMissingError)
    assert.deepEqual(await all(store.list('')), [])
    // Kept aside, also from sweeps.
    await sweep(store, LATER())
    assert.equal((await opened.names()).length, 1)
    await store.putIfAbsent(HASH, FRAME)
    assert.equal((await store.read(HASH)).codec, 'zstd')
  })

  it('does not set aside a chunk that was healed since it was found damaged', async () => {
    await using opened = await open()
    const { store } = opened
    await store.putIfAbsent(HASH, MEMBER)
    assert.equal(await store.quarantine(HASH), false)
    assert.ok(CONTENT.equals(await readContent(store, HASH)))
    assert.equal((await opened.names()).length, 1)
  })

  it('lists chunks in the order of their hashes', async () => {
    await using opened = await open()
    const { store } = opened
    const contents = Array.from({ length: 40 }, (_, index) => Buffer.alloc(512, `${index} `))
    const earliest = Date.now() - CLOCKS_MILLISECONDS
    for (const content of contents)
      await store.putIfAbsent(sha256(content), zstdCompressSync(content))
    const hashes = contents.map((content) => sha256(content)).toSorted()
    const listed = await all(store.list(''))
    assert.deepEqual(
      listed.map(({ hash }) => hash),
      hashes,
    )
    for (const [index, { codec, storedBytes, replaced }] of listed.entries()) {
      assert.ok(codec === undefined || codec === 'zstd')
      assert.equal(storedBytes, (await store.read(hashes[index]!)).bytes.length)
      assert.deepEqual(replaced, [])
    }
    const latest = LATER().getTime()
    assert.ok(listed.every(({ touchedAt }) => +touchedAt > earliest && +touchedAt < latest))
    for (const prefix of [hashes[7]!.slice(0, 2), hashes[7]!.slice(0, 4), hashes[7]!.slice(0, 10)])
      assert.deepEqual(
        (await all(store.list(prefix))).map(({ hash }) => hash),
        hashes.filter((hash) => hash.startsWith(prefix)),
      )
  })

  it('holds a whole image', async () => {
    await using opened = await open()
    const disk = diskContent({ chunks: 9, lastBytes: 4096 })
    async function* body() {
      yield disk
    }
    const { store, spoolFolder } = opened
    const image = await importImage(body(), { store, spoolFolder, maxImageBytes: 2 ** 40 })
    assert.ok(disk.equals(await readDisk(store, image)))
  })
}

async function all(chunks: AsyncIterable<ListedChunk>): Promise<ListedChunk[]> {
  return await Array.fromAsync(chunks)
}
