import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { withChunkBuffer } from '#agent/disk/buffer-pool.ts'
import { openDevice } from '#agent/disk/device.ts'
import { createChunkIndex } from '#agent/pipeline/chunk-index.ts'
import { createHeldChunks } from '#agent/pipeline/held-chunks.ts'
import type { Piece } from '#agent/pipeline/image-plan.ts'
import { scanDisk } from '#agent/pipeline/scan-disk.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { NEEDS_ROOT, openLoopDevice } from '#test/support/loop-device.ts'

const SEVENS = Buffer.alloc(CHUNK_BYTES, 7)
const WANTED = sha256(SEVENS)
const PLACES = 5

/** What the image has: sevens, sevens, zeros, zeros, free space. */
async function* pieces(): AsyncGenerator<Piece> {
  const at = (chunk: number) => chunk * CHUNK_BYTES
  yield { kind: 'data', start: at(0), end: at(1), hash: WANTED }
  yield { kind: 'data', start: at(1), end: at(2), hash: WANTED }
  yield { kind: 'zero', start: at(2), end: at(4) }
  yield { kind: 'unused', start: at(4), end: at(5) }
}

describe('scanDisk', { skip: NEEDS_ROOT }, () => {
  /** The disk holds zeros, but sevens at these places. */
  async function scan(sevens: number[], { keepsZeros = true, unreadable = -1 } = {}) {
    await using disk = await openLoopDevice({ sizeBytes: PLACES * CHUNK_BYTES })
    await using device = await openDevice(disk.path, 'write')
    for (const place of sevens)
      await withChunkBuffer((buffer) => {
        SEVENS.copy(buffer)
        return device.write(buffer, place * CHUNK_BYTES)
      })
    const index = createChunkIndex()
    index.add(WANTED)
    const held = createHeldChunks(PLACES)
    let told = 0
    await scanDisk(pieces(), {
      device: {
        ...device,
        keepsZeros,
        async read(buffer, start) {
          if (start === unreadable * CHUNK_BYTES)
            throw Object.assign(new Error('A bad block'), { code: 'EIO' })
          await device.read(buffer, start)
        },
      },
      index,
      held,
      kinds: new Set(['data', 'zero', 'unused'] as const),
      signal: new AbortController().signal,
      onHeld: () => void told++,
    })
    const places = Array.from({ length: PLACES }, (_, place) => place).filter((place) =>
      held.has(place),
    )
    assert.equal(told, places.length)
    return { held: places, source: index.source(WANTED) }
  }

  it('holds what is right in its place, and notes it as one that stays', async () => {
    const { held, source } = await scan([1])
    assert.deepEqual(held, [1, 2, 3])
    assert.deepEqual(source, { place: 1, stays: true })
  })

  it('notes what is wanted elsewhere, and does not hold it', async () => {
    for (const place of [2, 4]) {
      const { held, source } = await scan([place])
      assert.ok(!held.includes(place))
      assert.deepEqual(source, { place, stays: false })
    }
  })

  it('takes no zeros for granted on a disk that may read something else there later', async () => {
    assert.deepEqual((await scan([0], { keepsZeros: false })).held, [0])
  })

  it('takes what can not be read for something else: writing it may mend the disk', async () => {
    assert.deepEqual((await scan([0, 1], { unreadable: 1 })).held, [0, 2, 3])
    assert.deepEqual((await scan([0, 1], { unreadable: 3 })).held, [0, 1, 2])
  })
})
