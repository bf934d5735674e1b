import { openDevice } from '../disk/device.ts'
import type { Piece } from '../pipeline/image-plan.ts'
import { createReadBack } from '../pipeline/read-back.ts'
import { wipeEnds } from '../pipeline/wipe-ends.ts'
import { forEachConcurrently } from '../pipeline/workers.ts'
import { confirmTarget } from './confirm-target.ts'
import type { StepContext, StepOutcome } from './step.ts'

const PIECE_BYTES = 64 * 1024 * 1024
const WRITERS = 4

/** Zeros over the whole disk, its ends first, and the proof that they arrived. */
export async function wipeDisk(context: StepContext): Promise<StepOutcome> {
  const { disk } = context
  await using device = await openDevice(disk.path, 'write')
  await confirmTarget(context)
  await wipeEnds(device)
  let bytesDone = 0
  const advance = (piece: Piece) => {
    bytesDone += piece.end - piece.start
    context.progress(bytesDone, 2 * device.sizeBytes)
  }
  await using proof = createReadBack({
    device,
    zeroUnused: true,
    isSpinning: disk.rotational,
    signal: context.signal,
    onVerified: advance,
  })
  const { signal } = proof
  const options = { concurrency: WRITERS, signal }
  await forEachConcurrently(planZeros(device.sizeBytes), options, async (piece) => {
    await device.zero(piece)
    advance(piece)
    await proof.written(piece)
  })
  await proof.settle()
  device.rereadPartitionTable()
  const { sizeBytes } = device
  context.receipt({ bytesWritten: sizeBytes, bytesZeroed: sizeBytes, bytesVerified: sizeBytes })
  return { state: 'succeeded' }
}

async function* planZeros(sizeBytes: number): AsyncGenerator<Piece> {
  for (let start = 0; start < sizeBytes; start += PIECE_BYTES)
    yield { kind: 'zero', start, end: Math.min(start + PIECE_BYTES, sizeBytes) }
}
