import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { constants, zstdCompressSync } from 'node:zlib'
import {
  decodeFrameHeader,
  FrameDecodeError,
  inflateFrame,
} from '#server/images/codec/zstd-frame.ts'
import { MIB } from '#test/support/disk-content.ts'

const CONTENT = Buffer.alloc(MIB, 'content of a frame ')
const DESCRIPTOR = 4

describe('inflateFrame', () => {
  for (const length of [1, 255, 256, 512, 65_791, 65_792, MIB - 1, MIB]) {
    it(`gives the content of a frame of ${length} bytes, compressible or not`, async () => {
      for (const content of [randomBytes(length), Buffer.alloc(length, 7), Buffer.alloc(length)])
        for (const checksum of [0, 1]) {
          const params = { [constants.ZSTD_c_checksumFlag]: checksum }
          const frame = zstdCompressSync(content, { params })
          assert.equal(decodeFrameHeader(frame).contentBytes, length)
          assert.ok((await inflateFrame(frame)).equals(content))
        }
    })
  }

  it('takes what the zstd program makes at any level', async () => {
    for (const level of ['-1', '-3', '-12', '-19']) {
      const size = `--stream-size=${MIB}`
      const frame = execFileSync('zstd', ['-qc', level, size], { input: CONTENT })
      assert.ok((await inflateFrame(frame)).equals(CONTENT))
    }
  })

  it('refuses a frame cut anywhere, and one with anything after it', async () => {
    const frame = zstdCompressSync(Buffer.from('some content, some content, and more of it'))
    for (let length = 0; length < frame.length; length++)
      await assert.rejects(inflateFrame(frame.subarray(0, length)), FrameDecodeError)
    for (const tail of [Buffer.alloc(1), frame, Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0])])
      await assert.rejects(inflateFrame(Buffer.concat([frame, tail])), FrameDecodeError)
  })

  it('refuses a frame that does not state its length, or states another', async () => {
    const streamed = execFileSync('zstd', ['-qc'], { input: CONTENT })
    await assert.rejects(inflateFrame(streamed), /does not state the length/)
    const frame = zstdCompressSync(CONTENT)
    const { bytes } = decodeFrameHeader(frame)
    for (const wrong of [1, -1]) {
      const other = Buffer.from(frame)
      other.writeUInt32LE(MIB + wrong, bytes - 4)
      await assert.rejects(inflateFrame(other), FrameDecodeError)
    }
  })

  it('refuses unknown flags and dictionaries', async () => {
    const frame = zstdCompressSync(CONTENT)
    for (const flag of [0x08, 0x01, 0x02, 0x03]) {
      const other = Buffer.from(frame)
      other[DESCRIPTOR]! |= flag
      await assert.rejects(inflateFrame(other), FrameDecodeError)
    }
  })
})
