import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readSwapHeader } from '#agent/used/swap.ts'

function area(signature: string, pageBytes: number): Buffer {
  const head = Buffer.alloc(65_536, 0x55)
  head.fill(0, 1024, pageBytes)
  head.writeUInt32LE(1, 1024)
  head.writeUInt32LE(9, 1028)
  head.write('a label', 1052, 'latin1')
  head.write(signature, pageBytes - 10, 'latin1')
  return head
}

describe('a swap header', () => {
  for (const pageBytes of [4096, 16_384, 65_536]) {
    it(`stays as it is, with pages of ${pageBytes} bytes`, () => {
      const head = area('SWAPSPACE2', pageBytes)
      const header = readSwapHeader(head)!
      assert.equal(header.isHibernated, false)
      assert.equal(header.endBytes, 10 * pageBytes)
      assert.deepEqual(header.page, head.subarray(0, pageBytes))
    })
  }

  for (const signature of [
    'S1SUSPEND\0',
    'ULSUSPEND\0',
    'LINHIB0001',
    '\xed\xc3\x02\xe9\x98\x56\xe5\x0c',
  ]) {
    it(`becomes a plain one where it was ${JSON.stringify(signature)}`, () => {
      const head = area(signature, 4096)
      head.write('SWAPSPACE2', 4096 - 20, 'latin1')
      const header = readSwapHeader(head)!
      assert.equal(header.isHibernated, true)
      assert.deepEqual(header.page, area('SWAPSPACE2', 4096).subarray(0, 4096))
    })
  }

  it('tells where the area ends, also in the other byte order', () => {
    const head = area('SWAPSPACE2', 4096)
    head.writeUInt32BE(1, 1024)
    head.writeUInt32BE(4, 1028)
    assert.equal(readSwapHeader(head)!.endBytes, 5 * 4096)
  })

  it('is none of a version that is not known', () => {
    const head = area('SWAPSPACE2', 4096)
    head.writeUInt32LE(2, 1024)
    assert.equal(readSwapHeader(head), undefined)
  })

  it('is none without a signature, and in less than a page', () => {
    assert.equal(readSwapHeader(Buffer.alloc(65_536)), undefined)
    assert.equal(readSwapHeader(area('SWAPSPACE2', 4096).subarray(0, 4000)), undefined)
  })
})
