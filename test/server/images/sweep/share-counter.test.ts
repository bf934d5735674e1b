import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeSegment } from '#protocol/image/image.ts'
import { chunkKey, segmentKeys } from '#server/images/sweep/chunk-key.ts'
import { ShareCounter } from '#server/images/sweep/share-counter.ts'
import { sha256 } from '#test/support/disk-content.ts'

const hash = (index: number) => sha256(Buffer.from(`chunk ${index}`))

/** Images as lists of chunks of `100 + index` bytes. */
function count(...images: number[][]) {
  const counter = new ShareCounter()
  for (const chunks of images) {
    counter.begin()
    for (const index of chunks) counter.add(chunkKey(hash(index)), 100 + index, 'gzip')
  }
  return counter
}

describe('counting what is shared', () => {
  it('a chunk is the same by its hash and by its place in a segment', () => {
    const hashes = [hash(0), hash(1), hash(2)]
    const segment = encodeSegment(hashes)
    assert.deepEqual([...segmentKeys(segment)], hashes.map(chunkKey))
  })

  it('a chunk counts once for an image, and once for the store', () => {
    const { counts, storedBytes } = count([1, 1, 2], [2, 3], [3, 3, 1])
    assert.deepEqual(counts, [
      { storedBytes: 203, uniqueBytes: 0 },
      { storedBytes: 205, uniqueBytes: 0 },
      { storedBytes: 204, uniqueBytes: 0 },
    ])
    assert.equal(storedBytes, 306)
  })

  it('agrees with sets, however many chunks there are', () => {
    const images = [0, 3000, 5000].map((first) =>
      Array.from({ length: 4000 }, (_, index) => first + (index % 3500)),
    )
    const { counts, storedBytes } = count(...images)
    const sum = (chunks: Iterable<number>) =>
      [...chunks].reduce((total, index) => total + 100 + index, 0)
    for (const [at, chunks] of images.entries()) {
      const others = new Set(images.filter((_, index) => index !== at).flat())
      const own = new Set(chunks)
      assert.deepEqual(counts[at], {
        storedBytes: sum(own),
        uniqueBytes: sum(own.difference(others)),
      })
    }
    assert.equal(storedBytes, sum(new Set(images.flat())))
  })
})
