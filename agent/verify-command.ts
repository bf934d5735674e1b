import { readFile } from 'node:fs/promises'
import type { Manifest } from '#protocol/image.ts'
import type { Disk } from '#protocol/inventory.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from './chunk-client.ts'
import { openDeviceToLook } from './disk/device.ts'
import { cutImage } from './pipeline/cut-image.ts'
import { compareDisk } from './pipeline/compare-disk.ts'
import { createProgressLine } from './progress-line.ts'
import { makeReport, type VerifyReport } from './verify-report.ts'

/** A receipt is a page. */
const MAX_RECEIPT_BYTES = 1024 * 1024

export interface NamedImage {
  digest: Sha256
  /** Of the disk that the receipt is about. */
  serial?: string
  /** It was cut for a smaller disk, and is this there. */
  cut?: { diskBytes: number; digest: Sha256 }
}

/** The image that a receipt names: one as the server signs it, or as a run shows it. */
export async function readReceipt(path: string): Promise<NamedImage> {
  const bytes = await readFile(path)
  if (bytes.length > MAX_RECEIPT_BYTES) throw new Error(`"${path}" is too long for a receipt`)
  const parsed: unknown = JSON.parse(bytes.toString('utf8'))
  const receipt = (parsed as { receipt?: unknown }).receipt ?? parsed
  const { imageDigest, shrunk, disk } = receipt as {
    imageDigest?: unknown
    shrunk?: { diskBytes?: unknown; writtenDigest?: unknown }
    disk?: { serial?: unknown }
  }
  if (typeof imageDigest !== 'string')
    throw new Error(`"${path}" is no receipt of a deployment: it names no image`)
  const serial = disk?.serial
  return {
    digest: parseSha256(imageDigest),
    ...(typeof serial === 'string' && { serial }),
    ...(shrunk && {
      cut: {
        diskBytes: Number(shrunk.diskBytes),
        digest: parseSha256(String(shrunk.writtenDigest)),
      },
    }),
  }
}

/** As it should be on the disk. Throws if it cannot have been cut as the receipt says. */
async function comparedImage(
  { digest, cut }: NamedImage,
  chunks: ChunkClient,
  signal: AbortSignal,
): Promise<{ manifest: Manifest; chunks: ChunkClient }> {
  const manifest = await chunks.manifest(digest, signal)
  if (!cut) return { manifest, chunks }
  const made = await cutImage({ manifest, chunks }, cut.diskBytes, signal)
  if (made.kind === 'fits' && made.image.digest === cut.digest) return made.image
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
  const compared = await comparedImage(image, chunks, signal)
  const { manifest } = compared
  await using device = await openDeviceToLook(disk.path)
  line.started('verify')
  const progress = (done: number, total: number) => line.progress(done, total)
  if (device.sizeBytes < manifest.sizeBytes)
    line.print(
      `The image has ${manifest.sizeBytes} bytes, and disk ${disk.path} only ${device.sizeBytes}`,
    )
  const found = await compareDisk({ device, ...compared, signal, progress })
  line.ended('verify', { state: 'succeeded' })
  return makeReport(disk, image.digest, found)
}
