import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { CHUNK_BYTES, encodeManifest, encodeSegment } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { createChunkSets } from '#server/api/library/chunk-sets.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { countShares } from '#server/images/sweep/count-shares.ts'
import {
  createDirectoryStore,
  prepareDirectoryStore,
} from '#server/images/store/directory-store.ts'
import { encodeLayout } from '#server/images/export/layout.ts'
import { findUnlisted } from '#server/images/sweep/find-unlisted.ts'
import { sweepChunks } from '#server/images/sweep/sweep.ts'
import { sha256 } from '#test/support/disk-content.ts'

/** Two images of chunks that are in memory as hashes only, but for a few; they share half of them. */
describe('more chunks than are counted or swept in one go', () => {
  const hashes = Array.from({ length: 3000 }, () => parseSha256(randomBytes(32).toString('hex')))
  const images = [hashes.slice(0, 2000), hashes.slice(1000, 3000)]
  const sizes = new Map(
    hashes.map((hash, index) => [
      hash,
      { codec: 'zstd' as const, storedBytes: 1000 + index, contentBytes: CHUNK_BYTES },
    ]),
  )
  let folder: string
  let store: ChunkStore
  const manifests: { digest: Sha256; manifest: Uint8Array }[] = []
  const segmentBytes: number[] = []
  async function* eachManifest(except: ReadonlySet<Sha256> = new Set()) {
    yield* manifests.filter(({ digest }) => !except.has(digest))
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stampede-store-'))
    await prepareDirectoryStore(folder)
    store = createDirectoryStore({ folder, flush: async () => {} })
    for (const image of images) {
      const segment = gzipSync(encodeSegment(image))
      const hash = sha256(encodeSegment(image))
      await store.putIfAbsent(hash, segment)
      segmentBytes.push(segment.length)
      const sizeBytes = image.length * CHUNK_BYTES
      const manifest = encodeManifest({ sizeBytes, sectorBytes: 512, segments: [hash] })
      manifests.push({ digest: sha256(manifest), manifest })
    }
  })
  after(() => rm(folder, { recursive: true }))

  it('are counted in parts, with the same result', async () => {
    const count = (maxChunks: number) =>
      countShares(
        {
          store,
          manifests: eachManifest,
          loadLayout: async (digest) =>
            encodeLayout(images[manifests.findIndex((one) => one.digest === digest)]!, sizes),
        },
        maxChunks,
      )
    const whole = await count(100_000)
    const sum = (some: Sha256[]) => some.reduce((all, one) => all + sizes.get(one)!.storedBytes, 0)
    assert.equal(whole.storedBytes, sum(hashes) + segmentBytes[0]! + segmentBytes[1]!)
    assert.equal(
      whole.byDigest.get(manifests[1]!.digest)?.uniqueBytes,
      sum(hashes.slice(2000)) + segmentBytes[1]!,
    )
    assert.deepEqual(await count(500), whole)
    // As many as have the same first byte are counted together in any case.
    assert.deepEqual(await count(1), whole)
  })

  it('are swept in parts, and none is taken that an image has', async () => {
    const contents = Array.from({ length: 40 }, (_, index) => Buffer.from(`garbage ${index}`))
    for (const content of contents) await store.putIfAbsent(sha256(content), gzipSync(content))
    const sweep = (cutoff: Date) =>
      sweepChunks(
        {
          store,
          exclusively: (work) => work(),
          cutoff: () => cutoff,
          manifests: eachManifest,
        },
        100,
      )
    assert.equal(await sweep(new Date(0)), 0)
    assert.equal(await sweep(new Date(Date.now() + 1000)), contents.length)
    for (const image of images)
      assert.ok(await store.read(sha256(encodeSegment(image))), 'A segment is gone')
  })

  it('are read while commits go on, also of an image that comes during the sweep', async () => {
    let isAlone = false
    const readAlone: Sha256[] = []
    const watched: ChunkStore = {
      ...store,
      async read(hash, buffer) {
        if (isAlone) readAlone.push(hash)
        return await store.read(hash, buffer)
      },
    }
    let known: ReadonlySet<Sha256> = new Set()
    let hasCome = false
    await sweepChunks({
      store: watched,
      async exclusively(work) {
        isAlone = true
        const result = await work()
        isAlone = false
        hasCome = true
        return result
      },
      cutoff: () => new Date(0),
      async *manifests(except) {
        known = except
        for await (const one of eachManifest(except)) if (hasCome || one === manifests[0]) yield one
      },
    })
    assert.equal(known.size, 2)
    assert.deepEqual(readAlone, [])
  })

  it('are looked for in parts, and what the store does not list comes with the image that needs it', async () => {
    const { signal } = new AbortController()
    const [first, second] = manifests.map(({ digest }) => digest)
    const unlisted = async (maxListed: number) => {
      const found: string[] = []
      // The chunks of these images are in memory as hashes only.
      const listing: ChunkStore = {
        ...store,
        async *list(prefix) {
          for (const hash of hashes)
            if (hash.startsWith(prefix) && ![0, 1500, 2900].includes(hashes.indexOf(hash)))
              yield { hash, storedBytes: 1, touchedAt: new Date(), replaced: [] }
          yield* store.list(prefix)
        },
      }
      const options = { store: listing, manifests: eachManifest, signal }
      for await (const { digest, hash } of findUnlisted(options, maxListed))
        found.push(`${digest === first ? 'first' : 'second'} ${hashes.indexOf(hash)}`)
      assert.ok(first !== second)
      return found.toSorted()
    }
    const expected = ['first 0', 'first 1500', 'second 1500', 'second 2900']
    for (const maxListed of [100_000, 500, 1]) assert.deepEqual(await unlisted(maxListed), expected)
  })

  it('are told apart from those of other images', async () => {
    const sets = createChunkSets(
      store,
      async (digest) => manifests.find((one) => one.digest === digest)?.manifest,
    )
    const [first, second] = manifests.map(({ digest }) => digest)
    assert.equal(await sets.has(hashes[0]!, first!), true)
    assert.equal(await sets.has(hashes[0]!, second!), false)
    assert.equal(await sets.has(hashes[1500]!, second!), true)
    assert.equal(await sets.has(sha256(encodeSegment(images[0]!)), first!), true)
    assert.equal(await sets.has(hashes[0]!, parseSha256('0'.repeat(64))), false)
  })
})
