import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { DataPiece } from './chunk-source.ts'
import type { HeldChunks } from './held-chunks.ts'
import type { Piece } from './image-plan.ts'
import { moveWaves, type Move } from './move-waves.ts'
import { forEachConcurrently } from './workers.ts'
import { writeChunk, type WriteTarget } from './write-pieces.ts'

const MOVERS = 16
/** 100 MB of lists; what else moved is fetched. */
const MAX_MOVES = 262_144

interface PlannedMove extends Move {
  piece: DataPiece
}

export interface MoveTarget extends Pick<
  WriteTarget,
  'device' | 'source' | 'signal' | 'onWritten'
> {
  index: ChunkIndex
  held: HeldChunks
}

/**
 * Copies what the disk holds elsewhere to where the image has it, before its old place is written
 * over. What can't be had from the disk after all is fetched.
 */
export async function moveChunks(pieces: AsyncIterable<Piece>, target: MoveTarget): Promise<void> {
  const { signal, index, held } = target
  const moves = await findMoves(pieces, target)
  for (const wave of moveWaves(moves) as Generator<PlannedMove[]>) {
    const options = { concurrency: MOVERS, signal }
    await forEachConcurrently(each(wave), options, async ({ from, to, piece }, stop) => {
      await withChunkBuffer(async (buffer) => {
        const length = await target.source.copyInto(piece, from, buffer, stop)
        await writeChunk(piece, length, buffer, target.device, stop)
      })
      held.add(to)
      index.found(piece.hash, { place: to, stays: true })
      await target.onWritten(piece)
    })
  }
}

/** Copies of what stays can wait: only what will be written over is in a hurry. */
async function findMoves(
  pieces: AsyncIterable<Piece>,
  { index, held }: MoveTarget,
): Promise<PlannedMove[]> {
  const moves: PlannedMove[] = []
  for await (const piece of pieces) {
    if (piece.kind !== 'data' || moves.length >= MAX_MOVES) continue
    const to = piece.start / CHUNK_BYTES
    const source = held.has(to) ? undefined : index.source(piece.hash)
    if (source && !source.stays) moves.push({ from: source.place, to, piece })
  }
  return moves
}

async function* each<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items
}
