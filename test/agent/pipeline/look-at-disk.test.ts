import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { withChunkBuffer } from '#agent/disk/buffer-pool.ts'
import { openDevice } from '#agent/disk/device.ts'
import { createChunkIndex } from '#agent/pipeline/chunk-index.ts'
import type { Piece } from '#agent/pipeline/image-plan.ts'
import { lookAtDisk, surveyImage } from '#agent/pipeline/look-at-disk.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { NEEDS_ROOT, openLoopDevice } from '#test/support/loop-device.ts'

/** So many that those looked at by chance are hardly ever the few that matter here. */
const PLACES = 4000

const contentOf = (place: number) => Buffer.alloc(CHUNK_BYTES, `content ${place} `)

async function* pieces(): AsyncGenerator<Piece> {
  for (let place = 0; place < PLACES; place++) {
    const start = place * CHUNK_BYTES
    // Only of those that a test writes must the hash be right.
    const hash = sha256(place < 20 ? contentOf(place) : Buffer.from(String(place)))
    yield { kind: 'data', start, end: start + CHUNK_BYTES, hash }
  }
}

describe('lookAtDisk', { skip: NEEDS_ROOT }, () => {
  /** The disk holds zeros, but what the image has at these places. */
  async function look(places: number[]) {
    await using disk = await openLoopDevice({ sizeBytes: PLACES * CHUNK_BYTES })
    await using device = await openDevice(disk.path, 'write')
    for (const place of places)
      await withChunkBuffer((buffer) => {
        contentOf(place).copy(buffer)
        return device.write(buffer, place * CHUNK_BYTES)
      })
    const index = createChunkIndex()
    const survey = await surveyImage(pieces(), index)
    const { signal } = new AbortController()
    return await lookAtDisk(device, survey, index, PLACES * CHUNK_BYTES, signal)
  }

  it('sees that an attempt has begun, however little of the image it wrote', async () => {
    const { isBegun } = await look([5])
    assert.equal(isBegun, true)
  })

  it('sees none on a blank disk', async () => {
    const { isBegun, useful } = await look([])
    assert.deepEqual([isBegun, useful.data], [false, 0])
  })
})
