import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'

const ROUNDS = 10
const WRITERS = 12

describe('a chunk that many store at once, each in its own form', () => {
  it('never changes after the first of them was told that it is there', async () => {
    await using test = await openTestStore()
    for (let round = 0; round < ROUNDS; round++) {
      const content = Buffer.alloc(MIB, `round ${round} `)
      const hash = sha256(content)
      // The lengths of stored chunks are part of an export: a later form would not fit there.
      const forms = Array.from({ length: WRITERS }, (_, index) =>
        gzipSync(content, { level: (index % 9) + 1, memLevel: (index % 4) + 6 }),
      )
      const seen = new Set<string>()
      const look = async () => seen.add(sha256(Buffer.from((await test.store.read(hash)).bytes)))
      const writers = forms.map(async (form) => {
        await test.store.putIfAbsent(hash, form)
        await look()
      })
      await Promise.all(writers)
      await look()
      assert.equal(seen.size, 1)
    }
  })
})
