import { openDevice } from '../disk/device.ts'
import type { Piece } from '../pipeline/image-plan.ts'
import { verifyPieces } from '../pipeline/verify-pieces.ts'
import { writePieces } from '../pipeline/write-pieces.ts'
import { confirmTarget } from './confirm-target.ts'
import type { StepContext, StepOutcome } from './step.ts'
import { wipeEnds } from './write-image.ts'

const PIECE_BYTES = 64 * 1024 * 1024

/** Zeros over the whole disk, its ends first, and the proof that they arrived. */
export async function wipeDisk(context: StepContext): Promise<StepOutcome> {
  const { disk, signal, chunks } = context
  await using device = await openDevice(disk.path, 'write')
  await confirmTarget(context)
  await wipeEnds(device)
  let bytesDone = 0
  const advance = (piece: Piece) => {
    bytesDone += piece.end - piece.start
    context.progress(bytesDone, 2 * device.sizeBytes)
  }
  const common = { device, zeroUnused: true, signal }
  await writePieces(planZeros(device.sizeBytes), { ...common, chunks, onWritten: advance })
  await device.flush()
  device.dropCache()
  await verifyPieces(planZeros(device.sizeBytes), { ...common, onVerified: advance })
  device.rereadPartitionTable()
  context.receipt({ bytesWritten: device.sizeBytes, bytesVerified: device.sizeBytes })
  return { state: 'succeeded' }
}

async function* planZeros(sizeBytes: number): AsyncGenerator<Piece> {
  for (let start = 0; start < sizeBytes; start += PIECE_BYTES)
    yield { kind: 'zero', start, end: Math.min(start + PIECE_BYTES, sizeBytes) }
}
