import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { createSegmentSender } from '#agent/pipeline/segment-sender.ts'
import {
  CHUNK_BYTES,
  SEGMENT_CHUNKS,
  encodeSegment,
  type ChunkReference,
} from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'

const { signal } = new AbortController()

function createSender() {
  const sent = new Map<Sha256, Buffer>()
  return {
    sent,
    bytesSent: () => 0,
    async send(chunks: ReadonlyMap<Sha256, Buffer>) {
      for (const [hash, bytes] of chunks) sent.set(hash, Buffer.from(bytes))
    },
  }
}

const randomHash = () => parseSha256(randomBytes(32).toString('hex'))

describe('segments of a capture', () => {
  it('are sent as soon as they are full, whatever the order of their chunks', async () => {
    const references: ChunkReference[] = Array.from({ length: SEGMENT_CHUNKS + 100 }, (_, index) =>
      index % 3 === 0 ? randomHash() : 'zero',
    )
    references.fill('unused', SEGMENT_CHUNKS - 10, SEGMENT_CHUNKS + 20)
    const sender = createSender()
    const segments = createSegmentSender(references.length * CHUNK_BYTES - 512, sender)

    const note = (index: number) => {
      const reference = references[index]!
      if (reference !== 'zero' && reference !== 'unused') segments.set(index, reference)
    }
    const last = SEGMENT_CHUNKS - 1
    for (let index = 0; index < last - 9; index++) note(index)
    segments.unused({ start: last - 9, end: SEGMENT_CHUNKS + 20 })
    await segments.finish({ start: 5, end: last }, signal)
    await segments.finish({ start: 0, end: 5 }, signal)
    assert.equal(sender.sent.size, 0)
    await segments.finish({ start: last, end: SEGMENT_CHUNKS + 50 }, signal)
    assert.equal(sender.sent.size, 1)
    assert.throws(() => segments.segments(), /Segment 1 .* never full/)
    for (let index = SEGMENT_CHUNKS + 20; index < references.length; index++) note(index)
    await segments.finish({ start: SEGMENT_CHUNKS + 50, end: references.length }, signal)

    const expected = [references.slice(0, SEGMENT_CHUNKS), references.slice(SEGMENT_CHUNKS)]
    assert.deepEqual(
      segments.segments(),
      expected.map((each) => sha256(encodeSegment(each))),
    )
  })

  it('are null where there is nothing but zeros, and take no memory then', async () => {
    const sender = createSender()
    const count = 10_000_000
    const segments = createSegmentSender(count * CHUNK_BYTES, sender)
    segments.set(count - 1, randomHash())
    await segments.finish({ start: 0, end: count }, signal)
    assert.equal(sender.sent.size, 1)
    assert.equal(segments.segments().filter((hash) => hash !== null).length, 1)
  })
})
