import { CHUNK_BYTES, chunkCount, chunkLength } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { isZero } from '../chunks/content.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import { openDevice, type Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'
import { bringImage } from '../pipeline/bring-image.ts'
import { probeEdges, wipeEnds, WIPED_END_BYTES } from '../pipeline/wipe-ends.ts'
import { confirmTarget } from './confirm-target.ts'
import { fitImage } from './fit-image.ts'
import type { StepContext, StepOutcome } from './step.ts'

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
  const { run, disk, signal } = context
  const digest = imageDigest(context)
  await using device = await openDevice(disk.path, 'write')
  const { manifest, chunks, shrunk } = await fitImage(context, digest, device.sizeBytes)

  await confirmTarget(context)
  const ends = await readEnds(device, manifest.sizeBytes)
  await probeEdges(device)
  await wipeEnds(device)
  const facts = await bring().catch(async (err: unknown) => {
    await keepUnbootable(context, device)
    throw err
  })
  if (!device.rereadPartitionTable())
    context.log(`The kernel did not read the new partition table of ${disk.path}`)
  context.receipt({
    ...facts,
    imageDigest: digest,
    imageVerified: readBack,
    ...(shrunk && { shrunk }),
    ...(run.image && { imageName: run.image.name }),
  })
  return { state: 'succeeded' }

  function bring() {
    const { zeroUnused } = run.options
    return bringImage({
      device,
      manifest,
      chunks,
      ends,
      zeroUnused,
      readBack,
      signal,
      log: (text) => context.log(text),
      progress: (done, total) => context.progress(done, total),
    })
  }
}

/**
 * The chunks of what is about to be made zero, kept in memory: a disk that is deployed again holds
 * there what the image wants there. 9 MiB at most.
 */
async function readEnds(device: Device, imageBytes: number): Promise<Map<Sha256, Buffer>> {
  const kept = new Map<Sha256, Buffer>()
  const count = chunkCount(Math.min(imageBytes, device.sizeBytes))
  const tail = Math.floor((device.sizeBytes - WIPED_END_BYTES) / CHUNK_BYTES)
  for (let place = 0; place < count; place++) {
    if (place * CHUNK_BYTES >= WIPED_END_BYTES && place < tail) continue
    const length = Math.min(chunkLength(imageBytes, place), device.sizeBytes - place * CHUNK_BYTES)
    await withChunkBuffer(async (buffer) => {
      const bytes = buffer.subarray(0, length)
      const isRead = await tryRead(device, bytes, place * CHUNK_BYTES)
      if (isRead && !isZero(bytes)) kept.set(await hashChunk(bytes), Buffer.from(bytes))
    })
  }
  return kept
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
    const reason = err instanceof Error ? err.message : String(err)
    context.log(`The ends of disk ${device.path} could not be zeroed again: ${reason}`)
  }
}
