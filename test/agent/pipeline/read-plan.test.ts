import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { planReads, readsFor } from '#agent/pipeline/read-plan.ts'
import { extentsOf, within } from '#agent/used/extents.ts'
import { CHUNK_BYTES, chunkCount } from '#protocol/image/image.ts'

const DISK_BYTES = 40 * CHUNK_BYTES + 512
const spans = fc.array(
  fc.tuple(fc.nat(DISK_BYTES), fc.nat(3 * CHUNK_BYTES)).map(([start, length]) => ({
    start,
    end: Math.min(start + length, DISK_BYTES),
  })),
  { maxLength: 12 },
)

describe('the plan of a capture', () => {
  it('has every chunk once, in order, and reads those with a used byte', () => {
    fc.assert(
      fc.property(spans, fc.integer({ min: 1, max: 16 }), (list, batchChunks) => {
        const used = extentsOf(list)
        let next = 0
        for (const step of planReads(used, DISK_BYTES, batchChunks)) {
          const chunks =
            step.kind === 'read' ? step.chunks : range(step.chunks.start, step.chunks.end)
          if (step.kind === 'read') assert.ok(chunks.length <= batchChunks)
          assert.ok(chunks.length > 0)
          for (const chunk of chunks) {
            assert.equal(chunk, next++)
            const start = chunk * CHUNK_BYTES
            const isUsed = within(used, { start, end: start + CHUNK_BYTES }).length > 0
            assert.equal(step.kind === 'read', isUsed)
          }
        }
        assert.equal(next, chunkCount(DISK_BYTES))
      }),
    )
  })

  it('reads what is asked for, aligned for O_DIRECT, and never past the end', () => {
    fc.assert(
      fc.property(spans, (list) => {
        const asked = within(extentsOf(list), { start: 0, end: DISK_BYTES })
        const reads = readsFor(asked, DISK_BYTES)
        for (const { start, end } of reads) {
          assert.equal(start % 4096, 0)
          assert.ok(end % 4096 === 0 || end === DISK_BYTES)
        }
        for (const { start, end } of asked)
          assert.ok(reads.some((read) => read.start <= start && end <= read.end))
      }),
    )
  })

  it('reads over a small gap, and not over a large one', () => {
    const spans = [
      { start: 0, end: 512 },
      { start: 100_000, end: 100_512 },
      { start: 900_000, end: 900_512 },
    ]
    assert.deepEqual(readsFor(spans, DISK_BYTES), [
      { start: 0, end: 102_400 },
      { start: 897_024, end: 901_120 },
    ])
  })
})

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, at) => start + at)
}
