import type { Manifest } from '#protocol/image.ts'
import { formatBytes } from '#protocol/disk-choice.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { openDevice, type Device } from '../disk/device.ts'
import { planImage, writeOrder, type ChunkRange, type Piece } from '../pipeline/image-plan.ts'
import { verifyPieces } from '../pipeline/verify-pieces.ts'
import { writePieces } from '../pipeline/write-pieces.ts'
import { confirmTarget } from './confirm-target.ts'
import type { StepContext, StepOutcome } from './step.ts'

/** Both ends of the disk, where partition tables, RAID superblocks and boot loaders lie. */
const WIPED_END_BYTES = 4 * 1024 * 1024

export interface WriteImageOptions {
  /** false leaves out the proof that the disk holds what was written: the receipt says so. */
  readBack: boolean
}

export async function writeImage(context: StepContext): Promise<StepOutcome> {
  return await writeImageWith(context, { readBack: true })
}

/**
 * Writes the image in an order that keeps the disk from booting until all of it is there and has
 * been read back: both ends zeroed, everything but the tables, the backup table, the head.
 */
export async function writeImageWith(
  context: StepContext,
  { readBack }: WriteImageOptions,
): Promise<StepOutcome> {
  const { run, disk, chunks, signal } = context
  const digest = imageDigest(context)
  const manifest = await chunks.manifest(digest, signal)
  await using device = await openDevice(disk.path, 'write')
  if (device.sizeBytes < manifest.sizeBytes)
    throw new Error(`Disk ${disk.path} shrank to ${device.sizeBytes} bytes since it was checked`)

  await confirmTarget(context)
  await wipeEnds(device)
  const writer = createWriter(context, device, manifest, readBack)
  try {
    const order = writeOrder(manifest)
    for (const range of [order.body, order.backup, order.head]) await writer.bring(range)
  } catch (err) {
    await keepUnbootable(context, device)
    throw err
  }
  if (!device.rereadPartitionTable())
    context.log(`The kernel did not read the new partition table of ${disk.path}`)
  context.receipt({
    ...writer.counts(),
    imageDigest: digest,
    imageVerified: readBack,
    ...(run.image && { imageName: run.image.name }),
  })
  return { state: 'succeeded' }
}

function imageDigest({ run }: StepContext): Sha256 {
  if (run.image?.digest === undefined) throw new Error('The run names no image to deploy')
  return parseSha256(run.image.digest)
}

/** Head and backup table may have been written and not read back as they should. */
async function keepUnbootable(context: StepContext, device: Device): Promise<void> {
  try {
    await wipeEnds(device)
    context.log(`Disk ${device.path} holds an unfinished image and does not boot`)
  } catch (err) {
    // The failure that brought us here is the one to report.
    context.log(`The ends of disk ${device.path} could not be zeroed again: ${String(err)}`)
  }
}

/** Nothing boots from here on, neither the old system nor half of the new. */
export async function wipeEnds(device: Device): Promise<void> {
  const { sizeBytes } = device
  await device.zero({ start: 0, end: Math.min(WIPED_END_BYTES, sizeBytes) })
  await device.zero({ start: Math.max(0, sizeBytes - WIPED_END_BYTES), end: sizeBytes })
  await device.flush()
}

function createWriter(context: StepContext, device: Device, manifest: Manifest, readBack: boolean) {
  const { chunks, signal } = context
  const { zeroUnused } = context.run.options
  const totalBytes = manifest.sizeBytes * (readBack ? 2 : 1)
  let bytesDone = 0
  let bytesWritten = 0
  let bytesVerified = 0
  let bytesUnused = 0

  const plan = (range: ChunkRange) =>
    planImage(manifest, range, (hash) => chunks.read(hash, signal))
  const isLeft = (piece: Piece) => piece.kind === 'unused' && !zeroUnused

  function advance(piece: Piece): number {
    const bytes = piece.end - piece.start
    context.progress((bytesDone += bytes), totalBytes)
    return bytes
  }

  return {
    /** Written, on the medium, and read back from there. */
    async bring(range: ChunkRange): Promise<void> {
      const onWritten = (piece: Piece) => {
        const bytes = advance(piece)
        if (isLeft(piece)) bytesUnused += bytes
        else bytesWritten += bytes
      }
      await writePieces(plan(range), { device, chunks, zeroUnused, signal, onWritten })
      await device.flush()
      if (!readBack) return
      device.dropCache()
      const onVerified = (piece: Piece) => {
        const bytes = advance(piece)
        if (!isLeft(piece)) bytesVerified += bytes
      }
      await verifyPieces(plan(range), { device, zeroUnused, signal, onVerified })
      context.log(`Written and read back so far: ${formatBytes(bytesVerified)}`)
    },
    counts: () => ({ bytesWritten, bytesVerified, bytesUnused }),
  }
}
