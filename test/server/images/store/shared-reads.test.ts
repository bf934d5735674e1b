import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSha256 } from '#protocol/sha256.ts'
import { ChunkMissingError, type ChunkStore } from '#server/images/store/chunk-store.ts'
import { createSharedReads, type SharedReads } from '#server/images/store/shared-reads.ts'

const HASH = parseSha256('ab'.repeat(32))
const OTHER = parseSha256('cd'.repeat(32))
const THIRD = parseSha256('ef'.repeat(32))

/** A store that answers when it is told to, with a byte that is another one each time. */
function openSlowStore() {
  const asked: PromiseWithResolvers<void>[] = []
  const read: ChunkStore['read'] = async (_hash, buffer) => {
    const answer = Promise.withResolvers<void>()
    const value = asked.push(answer)
    await answer.promise
    return { codec: 'zstd', bytes: buffer!.subarray(0, 4).fill(value) }
  }
  return { read, asked }
}

function openQuickStore() {
  const stored = Buffer.from('stored')
  let count = 0
  const read: ChunkStore['read'] = async (_hash, buffer) => {
    count++
    stored.copy(buffer!)
    return { codec: 'zstd', bytes: buffer!.subarray(0, stored.length) }
  }
  const reads = createSharedReads({ read }, { keptMilliseconds: 60_000 })
  return { reads, stored, timesRead: () => count }
}

/** For longer than it takes to count as alone. */
async function readAlone(reads: SharedReads, reader: object): Promise<void> {
  const end = performance.now() + 100
  while (performance.now() < end) (await reads.read(THIRD, { reader })).release()
}

describe('shared reads', () => {
  it('read once what several ask for at the same time', async () => {
    const store = openSlowStore()
    const reads = createSharedReads(store)
    const both = Promise.all([reads.read(HASH), reads.read(HASH)])
    store.asked[0]!.resolve()
    const [first, second] = await both
    assert.equal(store.asked.length, 1)
    first.release()
    assert.deepEqual([...second.bytes], [1, 1, 1, 1])
    second.release()
  })

  it('keep what was read for whoever asks a moment later', async () => {
    const store = openSlowStore()
    const reads = createSharedReads(store, { keptMilliseconds: 60_000 })
    const reading = reads.read(HASH)
    store.asked[0]!.resolve()
    const first = await reading
    first.release()
    const second = await reads.read(HASH)
    assert.deepEqual([...second.bytes], [1, 1, 1, 1])
    assert.equal(store.asked.length, 1)
  })

  it('keep a few only', async () => {
    let count = 0
    const read: ChunkStore['read'] = async (_hash, buffer) => {
      count++
      return { codec: 'zstd', bytes: buffer!.subarray(0, 4) }
    }
    const reads = createSharedReads({ read }, { keptMilliseconds: 60_000 })
    const hashes = Array.from({ length: 40 }, (_, index) =>
      parseSha256(index.toString(16).padStart(64, '0')),
    )
    const memory = new Set<unknown>()
    for (const hash of hashes) {
      const { bytes, release } = await reads.read(hash)
      memory.add(bytes.buffer)
      release()
    }
    assert.ok(memory.size < 20, `${memory.size} buffers`)
    ;(await reads.read(hashes[0]!)).release()
    assert.equal(count, 41)
  })

  it('read anew once nobody uses it any more', async () => {
    const store = openSlowStore()
    const reads = createSharedReads(store, { keptMilliseconds: 0 })
    for (const value of [1, 2]) {
      const reading = reads.read(HASH)
      store.asked.at(-1)!.resolve()
      const { bytes, release } = await reading
      assert.equal(bytes[0], value)
      release()
    }
  })

  it('leave bytes alone as long as one of those who asked has not released them', async () => {
    const store = openSlowStore()
    const reads = createSharedReads(store)
    const both = Promise.all([reads.read(HASH), reads.read(HASH)])
    store.asked[0]!.resolve()
    const [first, second] = await both
    first.release()
    const other = reads.read(OTHER)
    store.asked[1]!.resolve()
    await other
    assert.deepEqual([...second.bytes], [1, 1, 1, 1])
  })

  it('use memory again after the last of them', async () => {
    const store = openSlowStore()
    const reads = createSharedReads(store, { keptMilliseconds: 0 })
    const reading = reads.read(HASH)
    store.asked[0]!.resolve()
    const first = await reading
    first.release()
    const other = reads.read(OTHER)
    store.asked[1]!.resolve()
    assert.equal((await other).bytes.buffer, first.bytes.buffer)
  })

  it('keep nothing for one who reads alone, until another comes', async () => {
    const { reads, stored, timesRead } = openQuickStore()
    const [one, other] = [{}, {}]
    await readAlone(reads, one)
    const before = timesRead()
    const memory = new Set<unknown>()
    for (const hash of [HASH, OTHER, HASH]) {
      const { bytes, release } = await reads.read(hash, { reader: one })
      assert.deepEqual(bytes, stored)
      memory.add(bytes.buffer)
      release()
    }
    assert.equal(memory.size, 1)
    assert.equal(timesRead(), before + 3)
    ;(await reads.read(HASH, { reader: other })).release()
    ;(await reads.read(HASH, { reader: one })).release()
    assert.equal(timesRead(), before + 4)
  })

  it('share also what one began to read alone', async () => {
    const { reads, timesRead } = openQuickStore()
    const one = {}
    await readAlone(reads, one)
    const before = timesRead()
    const first = await reads.read(HASH, { reader: one })
    const second = await reads.read(HASH, { reader: {} })
    assert.equal(second.bytes.buffer, first.bytes.buffer)
    first.release()
    const third = await reads.read(OTHER, { reader: {} })
    assert.notEqual(third.bytes.buffer, second.bytes.buffer)
    assert.equal(timesRead(), before + 2)
  })

  it('forget a read that failed', async () => {
    let isThere = false
    const reads = createSharedReads({
      async read(hash, buffer) {
        if (!isThere) throw new ChunkMissingError(hash)
        return { codec: 'gzip', bytes: buffer!.subarray(0, 1) }
      },
    })
    await assert.rejects(Promise.all([reads.read(HASH), reads.read(HASH)]), ChunkMissingError)
    isThere = true
    assert.equal((await reads.read(HASH)).codec, 'gzip')
  })
})
