import type { Manifest } from '#protocol/image/image.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { cutImage } from '../pipeline/cut-image.ts'
import type { StepContext } from './step.ts'

export interface FittedImage {
  manifest: Manifest
  chunks: ChunkClient
  /** For the receipt; undefined if the image is as large as the disk at most, and goes on it as it is. */
  shrunk?: NonNullable<Receipt['shrunk']>
}

/**
 * The image as this disk gets it: cut if it is larger and the run allows it. check-machine said the same of
 * the disk that the inventory found; this is the one that is open. Throws before anything was written.
 */
export async function fitImage(
  context: StepContext,
  digest: Sha256,
  diskBytes: number,
): Promise<FittedImage> {
  const { run, disk, chunks, signal } = context
  const manifest = await chunks.manifest(digest, signal, { isToBeWritten: true })
  if (manifest.sizeBytes <= diskBytes) return { manifest, chunks }
  if (!run.options.allowShrink)
    throw new Error(`Disk ${disk.path} shrank to ${diskBytes} bytes since it was checked`)
  const made = await cutImage({ manifest, chunks }, diskBytes, signal)
  if (made.kind === 'blocked')
    throw new Error(`The image does not fit on disk ${disk.path}: ${made.reason}`)
  const { image: cut, endBytes } = made
  context.warn(
    `The image of ${manifest.sizeBytes} bytes was cut to the disk's ${diskBytes} bytes, behind its ` +
      `last partition, which ends at byte ${endBytes}`,
  )
  context.log(`The image as it is on this disk has the digest ${cut.digest}`)
  return {
    manifest: cut.manifest,
    chunks: cut.chunks,
    shrunk: { imageBytes: manifest.sizeBytes, diskBytes, writtenDigest: cut.digest },
  }
}
