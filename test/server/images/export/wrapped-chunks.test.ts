import assert from 'node:assert/strict'
import { hash as digestOf, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gunzipSync, zstdCompressSync } from 'node:zlib'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { ChunkCorruptError } from '#server/images/store/chunk-store.ts'
import { createReadBuffer, type HeldChunk } from '#server/images/store/shared-reads.ts'
import { createWrappedChunks } from '#server/images/export/wrapped-chunks.ts'

const CONTENT = Buffer.concat([randomBytes(CHUNK_BYTES / 2), Buffer.alloc(CHUNK_BYTES / 2)])
const HASH = parseSha256(digestOf('sha256', CONTENT, 'hex'))
const FRAME = zstdCompressSync(CONTENT, { pledgedSrcSize: CONTENT.length })

/** What a read of the store brought; `released` counts. */
function held(bytes: Uint8Array, released: { times: number }): HeldChunk {
  const buffer = createReadBuffer()
  buffer.set(bytes)
  return {
    codec: 'zstd',
    bytes: buffer.subarray(0, bytes.length),
    release: () => void released.times++,
  }
}

describe('wrapped chunks', () => {
  it('hold the content as a gzip member, once for all who want it', async () => {
    const wrapped = createWrappedChunks()
    const released = { times: 0 }
    const [first, second] = await Promise.all([
      wrapped.wrap(HASH, 'gzip', held(FRAME, released)),
      wrapped.wrap(HASH, 'gzip', held(FRAME, released)),
    ])
    assert.ok(gunzipSync(first.bytes).equals(CONTENT))
    assert.equal(second.bytes.buffer, first.bytes.buffer)
    assert.equal(released.times, 2)
    first.release()
    second.release()
    const third = await wrapped.wrap(HASH, 'gzip', held(FRAME, released))
    assert.equal(third.bytes.buffer, first.bytes.buffer, 'kept for a while')
  })

  it('do not vouch for what the store has lost since they were made', async () => {
    const wrapped = createWrappedChunks()
    const released = { times: 0 }
    const good = await wrapped.wrap(HASH, 'gzip', held(FRAME, released))
    good.release()
    const rotten = Buffer.from(FRAME)
    rotten[rotten.length - 100]! ^= 1
    const asking = wrapped.wrap(HASH, 'gzip', held(rotten, released))
    await assert.rejects(asking, ChunkCorruptError)
    assert.equal(released.times, 2)
    const again = await wrapped.wrap(HASH, 'gzip', held(FRAME, released))
    assert.ok(gunzipSync(again.bytes).equals(CONTENT))
  })

  it('refuse the content of another chunk', async () => {
    const other = zstdCompressSync(Buffer.alloc(4096, 1), { pledgedSrcSize: 4096 })
    const asking = createWrappedChunks().wrap(HASH, 'gzip', held(other, { times: 0 }))
    await assert.rejects(asking, /another hash/)
  })

  it('that are still going out stay as they are, however many others are made', async () => {
    const wrapped = createWrappedChunks()
    const first = await wrapped.wrap(HASH, 'gzip', held(FRAME, { times: 0 }))
    const before = Buffer.from(first.bytes)
    for (let value = 0; value < 40; value++) {
      const content = Buffer.alloc(4096, value + 1)
      const hash = parseSha256(digestOf('sha256', content, 'hex'))
      const frame = zstdCompressSync(content, { pledgedSrcSize: content.length })
      ;(await wrapped.wrap(hash, 'gzip', held(frame, { times: 0 }))).release()
    }
    assert.ok(before.equals(first.bytes))
  })
})
