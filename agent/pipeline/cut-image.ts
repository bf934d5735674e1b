import type { Manifest } from '#protocol/image/image.ts'
import { planShrink } from '#protocol/disk/shrink.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { imageHead } from './image-head.ts'
import { shrinkImage, type ShrunkImage } from './shrink-image.ts'

export type CutImage =
  /** `endBytes`: of its last partition. */
  | { kind: 'fits'; image: ShrunkImage; endBytes: number }
  /** Why not, as the end of a sentence. */
  | { kind: 'blocked'; reason: string }

/** The image that a disk of `diskBytes`, which is smaller, gets of this one; always the same for both. */
export async function cutImage(
  image: { manifest: Manifest; chunks: ChunkClient },
  diskBytes: number,
  signal: AbortSignal,
): Promise<CutImage> {
  const { manifest, chunks } = image
  const head = await imageHead(chunks, manifest, signal)
  const plan = planShrink(head, manifest.sectorBytes, diskBytes)
  if (plan.kind === 'blocked') return plan
  const { writes, endBytes } = plan
  return {
    kind: 'fits',
    image: await shrinkImage(image, { diskBytes, writes }, signal),
    endBytes,
  }
}
