import type { Manifest } from '#protocol/image/image.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { openDeviceToLook } from '../disk/device.ts'
import { cutImage } from '../pipeline/cut-image.ts'
import { compareDisk } from '../pipeline/compare-disk.ts'
import { createProgressLine } from '../progress-line.ts'
import type { NamedImage } from './receipt-file.ts'
import { makeReport, type VerifyReport } from './verify-report.ts'

interface ComparedImage {
  manifest: Manifest
  chunks: ChunkClient
  /** For this disk, and not because a receipt says so. */
  isCutHere: boolean
}

/**
 * As it should be on the disk: a deploy cuts it for a smaller one, always in the same way. Throws if it
 * cannot have been cut as the receipt says.
 */
async function comparedImage(
  { digest, cut }: NamedImage,
  diskBytes: number,
  chunks: ChunkClient,
  signal: AbortSignal,
): Promise<ComparedImage> {
  const manifest = await chunks.manifest(digest, signal)
  const whole = { manifest, chunks, isCutHere: false }
  if (!cut && manifest.sizeBytes <= diskBytes) return whole
  const made = await cutImage(whole, cut?.diskBytes ?? diskBytes, signal)
  // Without a receipt that says otherwise, all that is missing differs.
  if (!cut) return made.kind === 'fits' ? { ...made.image, isCutHere: true } : whole
  if (made.kind === 'fits' && made.image.digest === cut.digest)
    return { ...made.image, isCutHere: false }
  throw new Error(
    `The receipt says that the image was cut to ${cut.diskBytes} bytes with digest ${cut.digest}, ` +
      `which image ${digest} does not become; the receipt may be damaged`,
  )
}

/** Compares a disk with an image; the disk is opened for reading only. */
export async function verifyDisk(
  disk: Disk,
  image: NamedImage,
  chunks: ChunkClient,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const line = createProgressLine(process.stderr)
  if (image.serial !== undefined && disk.serial !== undefined && image.serial !== disk.serial)
    line.print(
      `The receipt is about the disk with serial "${image.serial}", and this one has "${disk.serial}"`,
    )
  await using device = await openDeviceToLook(disk.path)
  const { isCutHere, ...compared } = await comparedImage(image, device.sizeBytes, chunks, signal)
  const { manifest } = compared
  line.started('verify')
  const progress = (done: number, total: number) => line.progress(done, total)
  if (device.sizeBytes < manifest.sizeBytes)
    line.print(
      `The image has ${manifest.sizeBytes} bytes, and disk ${disk.path} only ${device.sizeBytes}: ` +
        'what is missing counts as unreadable',
    )
  else if (isCutHere)
    line.print(`The image is compared as a deploy cuts it to the disk's ${device.sizeBytes} bytes`)
  const found = await compareDisk({ device, ...compared, signal, progress })
  line.ended('verify', { state: 'succeeded' })
  return makeReport(disk, image.digest, found)
}
