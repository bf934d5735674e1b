import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { frameEnd } from '#server/images/codec/zstd-frame.ts'
import { RECOMPRESS_LEVELS, Recompressor } from '#server/images/store/recompressor.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { contentOfFrame } from '#test/support/exact-frame.ts'

/** Of zlib's output, unless told otherwise. */
const BUFFER_BYTES = 16_384

describe('the recompressor', () => {
  it('makes one frame of a chunk, also where that fills a buffer of zlib exactly', async () => {
    const content = contentOfFrame(BUFFER_BYTES, RECOMPRESS_LEVELS.zstd)
    await using recompressor = new Recompressor()
    const stored = zstdCompressSync(content, {
      chunkSize: 2 * content.length,
      params: { [constants.ZSTD_c_compressionLevel]: -100_000 },
    })
    const answer = await recompressor.recompress(sha256(content), { codec: 'zstd', bytes: stored })
    assert.ok(answer.kind === 'smaller', JSON.stringify(answer))
    assert.equal(answer.bytes.length, BUFFER_BYTES)
    assert.equal(frameEnd(answer.bytes), answer.bytes.length)
    assert.deepEqual(zstdDecompressSync(answer.bytes), content)
  })
})
