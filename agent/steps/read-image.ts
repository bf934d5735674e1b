import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { ImageInfo, ImagePartition } from '#protocol/image/image-info.ts'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { GptDecodeError } from '#protocol/disk/gpt.ts'
import type { Disk, Partition } from '#protocol/machine/inventory.ts'
import { bootModes, parsePartitionTable } from '#protocol/disk/partition-table.ts'
import { sha256 } from '../chunks/content.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import { openDevice, type Device } from '../disk/device.ts'
import { readDisk } from '../pipeline/read-disk.ts'
import { totalBytes } from '../used/extents.ts'
import { lookInside } from '../used/look-inside.ts'
import { surveyDisk, type Survey } from '../used/survey.ts'
import type { StepContext, StepOutcome } from './step.ts'

export interface ReadImageOptions {
  /** Noted beside the image: where it came from. */
  source: string
  /** Of the programs on the disk, as `uname -m` names it, if that is known. */
  architecture?: string
}

export async function readImage(context: StepContext): Promise<StepOutcome> {
  const { run, inventory } = context
  // What runs on this machine is made for its processor.
  const { architecture } = inventory
  return await readImageWith(context, { source: `capture of ${run.machine.mac}`, architecture })
}

/** Makes the disk an image on the server, where it appears only when it is complete. */
export async function readImageWith(
  context: StepContext,
  noted: ReadImageOptions,
): Promise<StepOutcome> {
  const { run, disk, chunks, signal } = context
  if (!run.image) throw new Error('The run names no image to save the disk as')
  const { sectorBytes } = disk
  if (sectorBytes !== 512 && sectorBytes !== 4096)
    throw new Error(`Disk ${disk.path} has sectors of ${sectorBytes} bytes, not 512 or 4096`)

  await using device = await openDevice(disk.path, 'read')
  const release = device.holdReadOnly()
  try {
    // Tools look through the page cache, which may know the disk from before it was last written to.
    device.dropCache()
    const whole = run.options.wholeDisk ?? false
    const looking = { device, disk, exec: context.exec, signal, whole }
    const survey = await surveyDisk(looking)
    tell(context, survey, device)
    const system = await lookInside(
      { ...looking, log: (text) => context.log(text) },
      survey.contents,
    )
    const content = await describeContent(device, disk)
    const info = { ...content, ...noted, ...system, ...told(survey) }
    const { manifest, bytesSent } = await readDisk({
      device,
      sectorBytes,
      used: survey.used,
      cleared: survey.cleared,
      patches: survey.patches,
      chunks,
      signal,
      onProgress: (done, total) => context.progress(done, total),
    })
    await chunks.commit(run.image.name, { manifest, info }, signal)
    context.log(`Image "${run.image.name}" is complete: ${formatBytes(bytesSent)} were sent`)
    context.receipt({
      imageName: run.image.name,
      imageDigest: sha256(manifest),
      bytesRead: totalBytes(survey.used),
      bytesUnused: device.sizeBytes - totalBytes(survey.used),
      bytesSent,
    })
  } finally {
    release()
  }
  return { state: 'succeeded' }
}

function tell(context: StepContext, survey: Survey, { sizeBytes }: Device): void {
  for (const { reason } of survey.copiedWhole) context.warn(`Copied whole. ${reason}`)
  for (const { partition, what, bytes } of survey.leftOut)
    context.log(
      `Left out${partition === undefined ? '' : ` of partition ${partition}`}: ${what}, ${formatBytes(bytes)}`,
    )
  const usedBytes = totalBytes(survey.used)
  context.log(`${formatBytes(usedBytes)} of ${formatBytes(sizeBytes)} are in use and will be read`)
}

/** For whoever deploys the image. */
function told({ copiedWhole, leftOut }: Survey): ImageInfo {
  return {
    ...(copiedWhole.length > 0 && { copiedWhole }),
    ...(leftOut.length > 0 && { leftOut }),
  }
}

/** What the partition table and blkid tell of a disk, for whoever deploys its image. */
async function describeContent(device: Device, disk: Disk): Promise<ImageInfo> {
  return {
    partitionTable: disk.partitionTable.type,
    partitions: disk.partitions.map(imagePartition),
    bootModes: await findBootModes(device, disk.sectorBytes),
  }
}

function imagePartition(partition: Partition): ImagePartition {
  const { number, startBytes, sizeBytes, type, uuid, name, fileSystem } = partition
  return {
    number,
    startBytes,
    sizeBytes,
    type: type ?? '',
    ...(uuid !== undefined && { uuid }),
    ...(name !== undefined && { name }),
    ...(fileSystem && { fileSystem: fileSystem.type }),
    ...(fileSystem?.label !== undefined && { label: fileSystem.label }),
  }
}

async function findBootModes(device: Device, sectorBytes: number) {
  return await withChunkBuffer(async (buffer) => {
    const shared = buffer.subarray(0, Math.min(CHUNK_BYTES, device.sizeBytes))
    await device.read(shared, 0)
    const head = Buffer.from(shared) // TextDecoder takes no shared memory
    try {
      return bootModes(parsePartitionTable(head, sectorBytes))
    } catch (err) {
      if (err instanceof GptDecodeError) return []
      throw err
    }
  })
}
