import { openDevice } from '../disk/device.ts'
import type { StepContext, StepOutcome } from './step.ts'
import { isZero } from '../pipeline/verify-pieces.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import { wipeEnds } from './write-image.ts'

const PIECE_BYTES = 64 * 1024 * 1024

/** Zeros over the whole disk, its ends first; the head is read back to show that they arrived. */
export async function wipeDisk(context: StepContext): Promise<StepOutcome> {
  const { disk, signal } = context
  await using device = await openDevice(disk.path, 'write')
  await wipeEnds(device)
  for (let start = 0; start < device.sizeBytes; start += PIECE_BYTES) {
    signal.throwIfAborted()
    const end = Math.min(start + PIECE_BYTES, device.sizeBytes)
    await device.zero({ start, end })
    context.progress(end, device.sizeBytes)
  }
  await device.flush()
  device.dropCache()
  await withChunkBuffer(async (buffer) => {
    const head = buffer.subarray(0, Math.min(buffer.length, device.sizeBytes))
    await device.read(head, 0)
    if (!isZero(head)) throw new Error(`Disk ${disk.path} still holds data after it was wiped`)
  })
  device.rereadPartitionTable()
  context.receipt({ bytesWritten: device.sizeBytes })
  return { state: 'succeeded' }
}
