import { readFile } from 'node:fs/promises'
import type { Disk } from '#protocol/inventory.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from './chunk-client.ts'
import { openDeviceToLook } from './disk/device.ts'
import { compareDisk } from './pipeline/compare-disk.ts'
import { createProgressLine } from './progress-line.ts'
import { makeReport, type VerifyReport } from './verify-report.ts'

/** A receipt is a page. */
const MAX_RECEIPT_BYTES = 1024 * 1024

export interface NamedImage {
  digest: Sha256
  /** Of the disk that the receipt is about. */
  serial?: string
}

/** The image that a receipt names: one as the server signs it, or as a run shows it. */
export async function readReceipt(path: string): Promise<NamedImage> {
  const bytes = await readFile(path)
  if (bytes.length > MAX_RECEIPT_BYTES) throw new Error(`"${path}" is too long for a receipt`)
  const parsed: unknown = JSON.parse(bytes.toString('utf8'))
  const receipt = (parsed as { receipt?: unknown }).receipt ?? parsed
  const { imageDigest, shrunk, disk } = receipt as {
    imageDigest?: unknown
    shrunk?: unknown
    disk?: { serial?: unknown }
  }
  if (typeof imageDigest !== 'string')
    throw new Error(`"${path}" is no receipt of a deployment: it names no image`)
  if (shrunk !== undefined)
    throw new Error(
      `The image was cut for its disk, so the disk can't be compared with it; "${path}" says what was proven then`,
    )
  const serial = disk?.serial
  return { digest: parseSha256(imageDigest), ...(typeof serial === 'string' && { serial }) }
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
  const manifest = await chunks.manifest(image.digest, signal)
  await using device = await openDeviceToLook(disk.path)
  line.started('verify')
  const progress = (done: number, total: number) => line.progress(done, total)
  if (device.sizeBytes < manifest.sizeBytes)
    line.print(
      `The image has ${manifest.sizeBytes} bytes, and disk ${disk.path} only ${device.sizeBytes}`,
    )
  const found = await compareDisk({ device, manifest, chunks, signal, progress })
  line.ended('verify', { state: 'succeeded' })
  return makeReport(disk, image.digest, found)
}
