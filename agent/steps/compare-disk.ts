import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { openDevice } from '../disk/device.ts'
import { compareDisk } from '../pipeline/compare-disk.ts'
import { cutImage } from '../pipeline/cut-image.ts'
import { makeReport, tellReport } from '../verify/verify-report.ts'
import type { StepContext, StepOutcome } from './step.ts'

/** The receipt names the first; the log has no use for more either. */
const MAX_RANGES = 1000

/** The disk holds something else; the receipt says where. */
export class DiskDiffersError extends Error {
  override name = 'DiskDiffersError'
}

/** Compares the disk with the run's image, and writes nothing. Throws DiskDiffersError. */
export async function compareDiskStep(context: StepContext): Promise<StepOutcome> {
  const { run, disk, signal } = context
  if (run.image?.digest === undefined) throw new Error('The run names no image to compare with')
  const digest = parseSha256(run.image.digest)
  await using device = await openDevice(disk.path, 'read')
  const release = device.holdReadOnly()
  try {
    device.dropCache()
    const compared = await imageForDisk(context, digest, device.sizeBytes)
    const progress = (done: number, total: number) => context.progress(done, total)
    const found = await compareDisk({ device, ...compared, signal, progress })
    const { disk: _disk, imageDigest, ...report } = makeReport(disk, digest, found)
    context.receipt({
      imageName: run.image.name,
      imageDigest,
      imageVerified: report.matches,
      comparison: { ...report, differing: report.differing.slice(0, MAX_RANGES) },
    })
    const text = tellReport({ ...report, disk, imageDigest }, 'see the receipt')
    if (!report.matches) throw new DiskDiffersError(text)
    return { state: 'succeeded', message: text }
  } finally {
    release()
  }
}

/** On a disk that is smaller, a deploy cuts the image, always in the same way. */
async function imageForDisk(context: StepContext, digest: Sha256, diskBytes: number) {
  const { chunks, signal } = context
  const manifest = await chunks.manifest(digest, signal)
  const whole = { manifest, chunks }
  if (manifest.sizeBytes <= diskBytes) return whole
  const made = await cutImage(whole, diskBytes, signal)
  if (made.kind === 'blocked') return whole // all that is missing differs
  context.log(`The image is compared as a deploy cuts it to the disk's ${diskBytes} bytes`)
  return made.image
}
