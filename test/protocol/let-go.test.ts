import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { letGo } from '#protocol/let-go.ts'

describe('memory that is let go', () => {
  it('is that of bytes that have it for themselves, or most of it', () => {
    for (const bytes of [Buffer.alloc(100_000), new Uint8Array(100_000).subarray(0, 70_000)]) {
      letGo(bytes)
      assert.equal(bytes.length, 0)
    }
  })

  it('is not that of bytes that others may read', () => {
    const small = Buffer.from('in the pool that small buffers share')
    const part = new Uint8Array(100_000).subarray(0, 40_000)
    const end = new Uint8Array(100_000).subarray(1)
    const shared = new Uint8Array(new SharedArrayBuffer(100_000))
    for (const bytes of [small, part, end, shared]) {
      const { length } = bytes
      letGo(bytes)
      assert.equal(bytes.length, length)
    }
  })
})
