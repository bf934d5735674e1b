import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readSwapHeader } from '#agent/used/swap.ts'

function area(signature: string, pageBytes: number): Buffer {
  const head = Buffer.alloc(65_536, 0x55)
  head.fill(0, 1024, pageBytes)
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

  it('is none without a signature, and in less than a page', () => {
    assert.equal(readSwapHeader(Buffer.alloc(65_536)), undefined)
    assert.equal(readSwapHeader(area('SWAPSPACE2', 4096).subarray(0, 4000)), undefined)
  })
})
