import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'

const BLOCK_BYTES = 131_072
/** Of noise that ends in the middle of a block, whose length then follows it byte by byte. */
const TAIL_BYTES = 4096
const TRIES = 200

/**
 * Content of which a zstd frame of exactly `frameBytes` is made: where that is the length of zlib's
 * output buffer, it is filled and nothing is left.
 */
export function contentOfFrame(frameBytes: number, level: number): Buffer {
  const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16))
  const random = noise.update(Buffer.alloc(frameBytes + TAIL_BYTES))
  const text = Buffer.alloc(frameBytes + 3 * BLOCK_BYTES, 'some text; ')
  random.copy(text, BLOCK_BYTES, 0, frameBytes - TAIL_BYTES / 2)

  function withTail(bytes: number): Buffer {
    const content = Buffer.from(text)
    random.copy(content, content.length - BLOCK_BYTES, frameBytes, frameBytes + bytes)
    return content
  }
  const lengthOf = (bytes: number) =>
    zstdCompressSync(withTail(bytes), {
      chunkSize: LONGEST_STORED_BYTES,
      pledgedSrcSize: text.length,
      params: {
        [constants.ZSTD_c_compressionLevel]: level,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    }).length

  let low = 0
  for (let high = TAIL_BYTES; high - low > 1;) {
    const middle = (low + high) >> 1
    if (lengthOf(middle) > frameBytes) high = middle
    else low = middle
  }
  for (let bytes = low; bytes > low - TRIES; bytes--)
    if (lengthOf(bytes) === frameBytes) return withTail(bytes)
  assert.fail(`No frame of ${frameBytes} bytes was found`)
}
