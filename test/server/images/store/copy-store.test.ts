import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { type CopyProgress, copyStore } from '#server/images/store/copy-store.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'

describe('copying a store', () => {
  it('tells of a failure once nothing of it goes on any more', async () => {
    await using from = await openTestStore()
    await using to = await openTestStore()
    for (let index = 0; index < 40; index++) {
      const content = Buffer.alloc(512, `chunk ${index} `)
      await from.store.putIfAbsent(sha256(content), gzipSync(content))
    }
    let puts = 0
    let underWay = 0
    const failing: ChunkStore = {
      ...to.store,
      async putIfAbsent(hash, bytes) {
        if (++puts === 5) throw new Error('The store has had enough')
        underWay++
        await to.store.putIfAbsent(hash, bytes).finally(() => underWay--)
      },
    }
    let isOver = false
    const late: CopyProgress[] = []
    const copying = copyStore({
      from: from.store,
      to: failing,
      verify: false,
      signal: new AbortController().signal,
      onProgress: (progress) => void (isOver && late.push(progress)),
    })
    await assert.rejects(copying, /had enough/)
    isOver = true
    const putsUntilThen = puts
    assert.equal(underWay, 0)
    await copyStore({
      from: from.store,
      to: to.store,
      verify: false,
      signal: new AbortController().signal,
      onProgress: () => {},
    })
    assert.deepEqual([puts, late], [putsUntilThen, []])
  })
})
