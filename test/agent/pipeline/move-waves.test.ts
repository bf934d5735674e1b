import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { moveWaves, type Move } from '#agent/pipeline/move-waves.ts'

const waves = (moves: Move[]) => [...moveWaves(moves)]
const SIZE = 24

/** One source at most for each place, any number of places for each source. */
const someMoves = fc
  .uniqueArray(fc.record({ from: fc.nat(SIZE - 1), to: fc.nat(SIZE - 1) }), {
    selector: ({ to }) => to,
  })
  .map((moves) => moves.filter(({ from, to }) => from !== to))

describe('moveWaves', () => {
  it('copies upwards from the end, so that nothing is lost on the way', () => {
    const moves = [1, 2, 3].map((from) => ({ from, to: from + 1 }))
    assert.deepEqual(waves(moves), [[moves[2]], [moves[1]], [moves[0]]])
  })

  it('copies at once what does not depend on each other', () => {
    const moves = [1, 2, 3].map((from) => ({ from, to: from + 10 }))
    assert.deepEqual(waves(moves), [moves])
  })

  it('leaves one out of a circle', () => {
    const circle = [
      { from: 1, to: 2 },
      { from: 2, to: 3 },
      { from: 3, to: 1 },
    ]
    assert.equal(waves(circle).flat().length, 2)
  })

  it('never copies from a place that was written over, whatever the moves', () => {
    fc.assert(
      fc.property(someMoves, (moves) => {
        const disk = Array.from({ length: SIZE }, (_, place) => place)
        for (const wave of moveWaves(moves)) {
          const read = wave.map(({ from }) => disk[from]!)
          // All at once: none of a wave is the source of another of it.
          for (const { from } of wave) assert.ok(!wave.some(({ to }) => to === from))
          wave.forEach(({ from, to }, index) => {
            assert.equal(read[index], from)
            disk[to] = read[index]!
          })
        }
      }),
    )
  })

  it('leaves out no more than one move for each circle', () => {
    fc.assert(
      fc.property(someMoves, (moves) => {
        const done = waves(moves).flat()
        assert.equal(new Set(done).size, done.length)
        assert.ok(moves.length - done.length <= circlesIn(moves))
      }),
    )
  })
})

function circlesIn(moves: readonly Move[]): number {
  const source = new Map(moves.map(({ from, to }) => [to, from]))
  const onCircle = new Set<number>()
  let circles = 0
  for (const start of source.keys()) {
    const path: number[] = []
    let at: number | undefined = start
    while (at !== undefined && !path.includes(at)) {
      path.push(at)
      at = source.get(at)
    }
    if (at !== start || onCircle.has(start)) continue
    circles++
    for (const place of path) onCircle.add(place)
  }
  return circles
}
