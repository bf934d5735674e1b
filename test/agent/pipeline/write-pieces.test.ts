import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isZero } from '#agent/chunks/content.ts'
import { withChunkBuffer } from '#agent/disk/buffer-pool.ts'
import type { ByteRange } from '#agent/disk/byte-range.ts'
import { openDevice, type Device } from '#agent/disk/device.ts'
import type { Piece } from '#agent/pipeline/image-plan.ts'
import { writePieces } from '#agent/pipeline/write-pieces.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'

const CHUNKS = 24
const PIECE: Piece = { kind: 'zero', start: 0, end: CHUNKS * CHUNK_BYTES }

describe('ranges that must be zero', { skip: NEEDS_ROOT }, () => {
  let disk: LoopDevice
  let device: Device
  before(async () => {
    disk = await openLoopDevice({ sizeBytes: CHUNKS * CHUNK_BYTES })
    device = await openDevice(disk.path, 'write')
  })
  beforeEach(() => device.zero(PIECE))
  after(async () => {
    await device[Symbol.asyncDispose]()
    await disk[Symbol.asyncDispose]()
  })

  /** What was made zero, and what was left, in chunks. */
  async function clear(facts: Partial<Pick<Device, 'keepsZeros' | 'zeroesQuickly'>>) {
    const zeroed: [number, number][] = []
    const held: [number, number][] = []
    const chunksOf = ({ start, end }: ByteRange): [number, number] => [
      start / CHUNK_BYTES,
      end / CHUNK_BYTES,
    ]
    await writePieces(
      (async function* () {
        yield PIECE
      })(),
      {
        device: {
          ...device,
          keepsZeros: true,
          zeroesQuickly: () => false,
          ...facts,
          async zero(range) {
            zeroed.push(chunksOf(range))
            await device.zero(range)
          },
        },
        source: {
          readInto: () => assert.fail('Nothing is fetched'),
          copyInto: () => assert.fail('Nothing is copied'),
        },
        discard: () => assert.fail('Nothing is discarded'),
        zeroUnused: false,
        signal: new AbortController().signal,
        onWritten: () => {},
        onHeld: (piece) => void held.push(chunksOf(piece)),
      },
    )
    assert.ok(isZero((await disk.content()).subarray(0, CHUNK_BYTES)))
    return { zeroed, held }
  }

  it('are left alone where they are zero, and made zero from the first byte on that is not', async () => {
    assert.deepEqual(await clear({}), { zeroed: [], held: [[0, CHUNKS]] })
    await writeAt(10)
    assert.deepEqual(await clear({}), { zeroed: [[10, CHUNKS]], held: [[0, 10]] })
    assert.ok((await disk.content()).equals(Buffer.alloc(CHUNKS * CHUNK_BYTES)))
  })

  it('are made zero unread where a disk may forget zeros, or makes them in no time', async () => {
    const all = { zeroed: [[0, CHUNKS]], held: [] }
    assert.deepEqual(await clear({ keepsZeros: false }), all)
    assert.deepEqual(await clear({ zeroesQuickly: () => true }), all)
  })

  async function writeAt(chunk: number): Promise<void> {
    await withChunkBuffer((buffer) => device.write(buffer.fill(7), chunk * CHUNK_BYTES))
  }
})
