import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ChunkCorruptError } from '#agent/chunks/chunk-client.ts'
import { planImage, writeOrder, type Piece } from '#agent/pipeline/image-plan.ts'
import {
  CHUNK_BYTES,
  MANIFEST_MEDIA_TYPE,
  SEGMENT_CHUNKS,
  encodeSegment,
  type ChunkReference,
  type Manifest,
} from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'

const A = parseSha256('a'.repeat(64))
const B = parseSha256('b'.repeat(64))

function manifestOf(sizeBytes: number, segments: (string | null)[]): Manifest {
  return {
    mediaType: MANIFEST_MEDIA_TYPE,
    sizeBytes,
    sectorBytes: 512,
    chunkBytes: CHUNK_BYTES,
    segmentChunks: SEGMENT_CHUNKS,
    segments,
  }
}

async function plan(references: ChunkReference[], sizeBytes: number, start = 0, end = Infinity) {
  const range = { start, end: Math.min(end, references.length) }
  const pieces: [string, number, number][] = []
  const manifest = manifestOf(sizeBytes, ['c'.repeat(64)])
  for await (const piece of planImage(manifest, range, async () => encodeSegment(references)))
    pieces.push([describePiece(piece), piece.start / CHUNK_BYTES, piece.end / CHUNK_BYTES])
  return pieces
}

function describePiece(piece: Piece): string {
  return piece.kind === 'data' ? piece.hash[0]! : piece.kind
}

describe('planImage', () => {
  it('joins neighbouring zeros and unused chunks, and keeps the order', async () => {
    const references = [A, 'zero', 'zero', 'unused', 'unused', 'zero', B] as const
    assert.deepEqual(await plan([...references], 6.5 * CHUNK_BYTES), [
      ['a', 0, 1],
      ['zero', 1, 3],
      ['unused', 3, 5],
      ['zero', 5, 6],
      ['b', 6, 6.5],
    ])
  })

  it('ends a short last chunk of zeros where the disk ends', async () => {
    assert.deepEqual(await plan(['zero', 'zero'], 1.5 * CHUNK_BYTES), [['zero', 0, 1.5]])
  })

  it('gives the range that is asked for, runs cut at its ends', async () => {
    const references = Array<ChunkReference>(6).fill('zero')
    assert.deepEqual(await plan(references, 6 * CHUNK_BYTES, 1, 4), [['zero', 1, 4]])
  })

  it('does long runs in parts, so that progress is seen', async () => {
    const references = Array<ChunkReference>(150).fill('zero')
    assert.deepEqual(await plan(references, 150 * CHUNK_BYTES), [
      ['zero', 0, 64],
      ['zero', 64, 128],
      ['zero', 128, 150],
    ])
  })

  it('crosses segments, and takes an absent one for zeros', async () => {
    const count = SEGMENT_CHUNKS + 2
    const manifest = manifestOf(count * CHUNK_BYTES, [null, 'c'.repeat(64)])
    const kinds: string[] = []
    const range = { start: SEGMENT_CHUNKS - 1, end: count }
    for await (const piece of planImage(manifest, range, async () => encodeSegment([A, B])))
      kinds.push(describePiece(piece))
    assert.deepEqual(kinds, ['zero', 'a', 'b'])
  })

  it('refuses a segment and a manifest that do not fit the size', async () => {
    await assert.rejects(plan([A, B], 3 * CHUNK_BYTES), ChunkCorruptError)
    const manifest = manifestOf(CHUNK_BYTES, [])
    const pieces = planImage(manifest, { start: 0, end: 1 }, async () => encodeSegment([A]))
    await assert.rejects(pieces.next(), /lists 0 segments/)
  })
})

describe('writeOrder', () => {
  const order = (sizeBytes: number) => writeOrder(manifestOf(sizeBytes, []))

  it('leaves the head for the end, and before it what may be the backup table', () => {
    assert.deepEqual(order(10 * CHUNK_BYTES), {
      body: { start: 1, end: 9 },
      backup: { start: 9, end: 10 },
      head: { start: 0, end: 1 },
    })
  })

  it('counts two chunks as the end where the table lies across their border', () => {
    assert.deepEqual(order(10 * CHUNK_BYTES + 4096).backup, { start: 9, end: 11 })
    assert.deepEqual(order(10 * CHUNK_BYTES + 600_064).backup, { start: 10, end: 11 })
  })

  it('has nothing before the head of a disk of one chunk', () => {
    const { body, backup, head } = order(CHUNK_BYTES / 2)
    assert.equal(body.end - body.start, 0)
    assert.equal(backup.end - backup.start, 0)
    assert.deepEqual(head, { start: 0, end: 1 })
  })
})
