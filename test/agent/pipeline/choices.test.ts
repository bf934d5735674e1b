import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { fastestOf } from '#agent/disk/zero-range.ts'
import { chooseApproach } from '#agent/pipeline/choose-approach.ts'
import { createChunkIndex } from '#agent/pipeline/chunk-index.ts'
import { createCompareWorth } from '#agent/pipeline/compare-worth.ts'
import type { Usefulness } from '#agent/pipeline/look-at-disk.ts'

const MIB = 1024 * 1024
const hashOf = (number: number) => sha256(Buffer.from(String(number)))

describe('how a disk is brought to hold an image', () => {
  const chunks = { data: 1000, zero: 100, unused: 5000 }
  const look = (useful: Partial<Usefulness>, isBegun = false) => ({
    useful: { data: 0, zero: 0, unused: 0, ...useful },
    isBegun,
  })

  it('a disk that holds nothing of it is not read', () => {
    assert.deepEqual(chooseApproach(look({ data: 0 }), chunks), { kind: 'write' })
  })

  it('one on which an attempt was cut short as it began is compared, whatever else was seen', () => {
    assert.deepEqual(chooseApproach(look({ data: 0 }, true), chunks), { kind: 'compare' })
  })

  it('one that holds a little is compared on the way', () => {
    assert.deepEqual(chooseApproach(look({ data: 0.2 }), chunks), { kind: 'compare' })
  })

  it('one that holds most is read first, free space only where something of use was seen', () => {
    const kinds = (useful: Partial<Usefulness>) => {
      const approach = chooseApproach(look(useful), chunks)
      assert.equal(approach.kind, 'scan')
      return approach.kind === 'scan' ? [...approach.kinds] : []
    }
    assert.deepEqual(kinds({ data: 0.9 }), ['data', 'zero'])
    assert.deepEqual(kinds({ unused: 0.2 }), ['data', 'zero', 'unused'])
  })

  it('comparing ends when it takes more time than it saves', () => {
    const worth = createCompareWorth()
    for (let index = 0; index < 200; index++) {
      worth.compared(10, index % 50 === 0)
      worth.fetched(20)
    }
    assert.equal(worth.isWorthIt(), false)
  })

  it('comparing goes on where a few that are missing lie between those that are there', () => {
    const worth = createCompareWorth()
    for (let index = 0; index < 116; index++) worth.compared(50, true)
    for (let index = 0; index < 16; index++) worth.fetched(2)
    assert.equal(worth.isWorthIt(), true)
  })

  it('comparing goes on where fetching is slow', () => {
    const worth = createCompareWorth()
    for (let index = 0; index < 200; index++) {
      worth.compared(10, index % 50 === 0)
      worth.fetched(2000)
    }
    assert.equal(worth.isWorthIt(), true)
  })
})

describe('the index of chunks', () => {
  it('finds what is wanted among many, and nothing else', () => {
    const index = createChunkIndex()
    for (let number = 0; number < 20_000; number++) index.add(hashOf(number))
    for (let number = 0; number < 20_000; number += 2)
      index.found(hashOf(number), { place: number, stays: false })
    index.found(hashOf(30_000), { place: 1, stays: true })
    for (let number = 0; number < 20_000; number++) {
      const expected = number % 2 === 0 ? { place: number, stays: false } : undefined
      assert.deepEqual(index.source(hashOf(number)), expected)
    }
    assert.equal(index.wants(hashOf(30_000)), false)
    assert.equal(index.source(hashOf(30_000)), undefined)
  })

  it('prefers a place that stays to one that will be written over', () => {
    const index = createChunkIndex()
    index.add(hashOf(1))
    index.found(hashOf(1), { place: 7, stays: false })
    index.found(hashOf(1), { place: 8, stays: true })
    index.found(hashOf(1), { place: 9, stays: false })
    assert.deepEqual(index.source(hashOf(1)), { place: 8, stays: true })
  })
})

describe('making zeros', () => {
  /** Ways that take so many milliseconds a MiB; 0: not possible here. */
  function ways(...costs: number[]) {
    let clock = 0
    const used: number[] = []
    const zeroer = fastestOf(
      costs.map((cost, index) => async ({ start, end }) => {
        used.push(index)
        clock += ((end - start) / MIB) * cost
        return cost > 0
      }),
      () => clock,
    )
    return { used, zeroer, zero: () => zeroer.zero({ start: 0, end: 32 * MIB }) }
  }

  it('stays with the first way while it is quick', async () => {
    const { used, zero } = ways(0.01, 5, 5)
    for (let i = 0; i < 10; i++) await zero()
    assert.deepEqual(new Set(used), new Set([0]))
  })

  it('goes to the next way where the device does not have one', async () => {
    const { used, zero } = ways(0, 0, 5)
    for (let i = 0; i < 3; i++) await zero()
    assert.deepEqual(used, [0, 1, 2, 2, 2])
  })

  it('is not confused by several at once that find the way closed', async () => {
    const { used, zero } = ways(0, 5)
    await Promise.all([zero(), zero(), zero()])
    assert.deepEqual(used, [0, 0, 0, 1, 1, 1])
  })

  it('knows when zeros cost next to nothing', async () => {
    const quick = ways(0.01, 5)
    assert.equal(quick.zeroer.isQuick(), false)
    await quick.zero()
    assert.equal(quick.zeroer.isQuick(), true)
    const slow = ways(0, 5)
    await slow.zero()
    assert.equal(slow.zeroer.isQuick(), false)
  })

  it('measures, and stays with the fastest', async () => {
    const { used, zero } = ways(9, 4, 6)
    for (let i = 0; i < 12; i++) await zero()
    assert.deepEqual(used, [0, 0, 1, 1, 2, 2, 1, 1, 1, 1, 1, 1])
  })
})
