import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  coarsen,
  createExtentsBuilder,
  extentsOf,
  shift,
  subtract,
  totalBytes,
  union,
  within,
  type Extents,
} from '#agent/used/extents.ts'

const SIZE = 60
const spans = fc.array(
  fc
    .tuple(fc.nat(SIZE - 1), fc.nat(SIZE))
    .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
  { maxLength: 12 },
)

/** The slow way: a flag for each byte. */
function flags(extents: Extents): boolean[] {
  const bytes = Array.from({ length: SIZE }, () => false)
  for (let at = 0; at < extents.length; at += 2) bytes.fill(true, extents[at], extents[at + 1])
  return bytes
}

function intersect(one: Extents, other: Extents): Extents {
  return subtract(one, subtract(one, other))
}

function assertOrdered(extents: Extents): void {
  for (let at = 1; at < extents.length; at++) assert.ok(extents[at]! > extents[at - 1]!)
}

describe('extents', () => {
  it('are what a flag for each byte would be', () => {
    fc.assert(
      fc.property(spans, spans, (one, other) => {
        const [a, b] = [extentsOf(one), extentsOf(other)]
        const [inA, inB] = [flags(a), flags(b)]
        for (const [made, expected] of [
          [a, inA.map((_, at) => one.some(({ start, end }) => start <= at && at < end))],
          [union(a, b), inA.map((flag, at) => flag || inB[at]!)],
          [subtract(a, b), inA.map((flag, at) => flag && !inB[at]!)],
          [intersect(a, b), inA.map((flag, at) => flag && inB[at]!)],
        ] as const) {
          assertOrdered(made)
          assert.deepEqual(flags(made), expected)
          assert.equal(totalBytes(made), expected.filter(Boolean).length)
        }
      }),
    )
  })

  it('within a range are cut at its ends', () => {
    fc.assert(
      fc.property(spans, fc.nat(SIZE), fc.nat(SIZE), (list, from, to) => {
        const [start, end] = [Math.min(from, to), Math.max(from, to)]
        const all = extentsOf(list)
        const expected = intersect(all, extentsOf([{ start, end }]))
        assert.deepEqual(extentsOf(within(all, { start, end })), expected)
      }),
    )
  })

  it('move along', () => {
    assert.deepEqual([...shift(extentsOf([{ start: 1, end: 3 }]), 10)], [11, 13])
  })

  it('that are too many become fewer, and none of their bytes is lost', () => {
    const list = Array.from({ length: 1000 }, (_, at) => {
      const start = at * 100_000
      return { start, end: start + 4096 + (at % 7) * 1000 }
    })
    const all = extentsOf(list)
    assert.equal(all.length / 2, list.length)
    const fewer = coarsen(all, 100)
    assert.ok(fewer.length / 2 <= 100)
    assert.equal(totalBytes(subtract(all, fewer)), 0)
    assert.equal(coarsen(all, 1000), all)
    const builder = createExtentsBuilder(100)
    for (const { start, end } of list) builder.add(start, end)
    const built = builder.build()
    assertOrdered(built)
    assert.ok(built.length / 2 <= 100)
    assert.equal(totalBytes(subtract(all, built)), 0)
  })
})
