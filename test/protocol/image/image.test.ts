import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import {
  CHUNK_BYTES,
  chunkCount,
  chunkLength,
  type ChunkReference,
  decodeSegment,
  encodeManifest,
  encodeSegment,
  segmentCount,
  segmentLength,
} from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'

const HASH = parseSha256(createHash('sha256').update('a').digest('hex'))

describe('image format', () => {
  it('a segment reads back as it was written', () => {
    const references: ChunkReference[] = ['zero', HASH, 'unused', HASH]
    const bytes = encodeSegment(references)
    assert.equal(bytes.length, 4 * 32)
    assert.deepEqual(Buffer.from(bytes.subarray(32, 64)).toString('hex'), HASH)
    assert.deepEqual(decodeSegment(bytes), references)
  })

  it('refuses a segment that is not whole hashes', () => {
    for (const length of [0, 31, 33, CHUNK_BYTES + 32])
      assert.throws(() => decodeSegment(new Uint8Array(length)), TypeError)
  })

  it('counts chunks and segments at their borders', () => {
    const segmentBytes = CHUNK_BYTES * 32_768
    assert.equal(chunkCount(CHUNK_BYTES + 512), 2)
    assert.equal(chunkLength(CHUNK_BYTES + 512, 1), 512)
    assert.equal(chunkLength(2 * CHUNK_BYTES, 1), CHUNK_BYTES)
    assert.equal(segmentCount(segmentBytes), 1)
    assert.equal(segmentCount(segmentBytes + 512), 2)
    assert.equal(segmentLength(segmentBytes + 512, 1), 1)
  })

  it('writes the manifest in one order, so that equal content has an equal digest', () => {
    const text = new TextDecoder().decode(
      encodeManifest({ segments: [HASH, null], sectorBytes: 512, sizeBytes: 40_000_000_000 }),
    )
    assert.equal(
      text,
      '{"mediaType":"application/vnd.stampede.image.v1+json","sizeBytes":40000000000,' +
        `"sectorBytes":512,"chunkBytes":1048576,"segmentChunks":32768,"segments":["${HASH}",null]}`,
    )
  })
})
