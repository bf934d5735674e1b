import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { parseSha256 } from '#protocol/sha256.ts'
import { encodeStamp, findStamp } from '#server/images/export/export-stamp.ts'
import { storedMember, storedMemberLength } from '#server/images/codec/gzip-member.ts'
import { zeroMember } from '#server/images/codec/zero-member.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'

const gunzip = (member: Uint8Array) =>
  execFileSync('gzip', ['-dc'], { input: member, maxBuffer: 4 * MIB })

describe('zeroMember', () => {
  it('is read as zeros by zlib and by gzip, whatever the length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MIB }), (length) => {
        assert.ok(gunzipSync(zeroMember(length)).equals(Buffer.alloc(length)))
      }),
      { numRuns: 40, examples: [[1], [2], [258], [259], [512], [MIB]] },
    )
    assert.ok(gunzip(zeroMember(MIB)).equals(Buffer.alloc(MIB)))
  })

  it('never changes: exports of all images have its length in them', () => {
    assert.equal(zeroMember(MIB).length, 1064)
    const hash = 'f0e1008d4c8e905ba253b1103710e08fb1840e3ac55c2e580cc763d565f3446c'
    assert.equal(sha256(zeroMember(MIB)), hash)
  })
})

describe('storedMember', () => {
  it('has the length that follows from its content', () => {
    assert.equal(storedMemberLength(MIB), 1_048_679)
    for (const length of [0, 1, 512, 65_535, 65_536, MIB]) {
      const content = randomBytes(length)
      const member = storedMember(content)
      assert.equal(member.length, storedMemberLength(length))
      assert.ok(gunzip(member).equals(content))
      const target = Buffer.alloc(storedMemberLength(MIB))
      const placed = storedMember(content, target)
      assert.equal(placed.buffer, target.buffer)
      assert.ok(placed.length === member.length && Buffer.compare(placed, member) === 0)
    }
  })
})

describe('the stamp of an export', () => {
  it('reads back, and is nothing to gzip', () => {
    const stamp = { digest: parseSha256('ab'.repeat(32)), sizeBytes: 2 ** 45 + 512 }
    const member = encodeStamp(stamp)
    assert.deepEqual(findStamp(member), stamp)
    assert.equal(gunzip(member).length, 0)
    assert.equal(findStamp(zeroMember(512)), undefined)
  })
})
