import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'

const ROUNDS = 10
const WRITERS = 6

describe('a chunk that many store at once, each in its own form', () => {
  it('never changes after the first of them was told that it is there', async () => {
    await using test = await openTestStore()
    for (let round = 0; round < ROUNDS; round++) {
      const content = Buffer.alloc(MIB, `round ${round} `)
      const hash = sha256(content)
      // The small form is there first. The lengths of stored chunks are part of an export, which a
      // later form would not fit.
      const large = gzipSync(content, { level: 0 })
      const forms = [gzipSync(content), ...Array.from({ length: WRITERS }, () => large)]
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
