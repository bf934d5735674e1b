import { describeDisk, formatBytes } from '../machine/disk-choice.ts'
import type { Disk } from '../machine/inventory.ts'
import type { Workflow } from './run.ts'
import type { ShrinkVerdict } from '../disk/shrink.ts'

/** What stops a run before its first write; a plan says it in the agent's own words. */

/** Stable and kebab-case in `code`, a finished sentence in `message`. */
export type Finding = { code: string; message: string }

/** Why the agent would not work on the disk, whatever image there is. */
export function whyUnusable(disk: Disk, workflow: Workflow): Finding | undefined {
  if (disk.busy !== undefined)
    return {
      code: 'disk-busy',
      message: `Disk ${describeDisk(disk)} is in use: ${disk.busy}; unmount or stop that first`,
    }
  if (disk.readOnly && workflow !== 'capture' && workflow !== 'verify')
    return {
      code: 'disk-read-only',
      message: `Disk ${describeDisk(disk)} is read-only; nothing can be written to it`,
    }
  if (disk.sizeBytes === 0)
    return { code: 'disk-empty', message: `Disk ${describeDisk(disk)} holds no medium` }
  return undefined
}

/** Why the image cannot be on the disk; whether it may be cut to a smaller one is not looked at. */
export function whyUnfit(image: SizedImage, disk: SizedDisk): Finding | undefined {
  if (image.sectorBytes !== disk.sectorBytes)
    return {
      code: 'sector-size',
      message:
        `Image "${image.name}" is made for sectors of ${image.sectorBytes} bytes but disk ` +
        `${disk.path} has ${disk.sectorBytes}; choose another disk or image`,
    }
  if (image.sizeBytes % disk.sectorBytes !== 0 && image.sizeBytes <= disk.sizeBytes)
    return {
      code: 'sector-size',
      message:
        `Image "${image.name}" is ${image.sizeBytes} bytes, no whole number of sectors of ` +
        `${disk.sectorBytes} bytes as disk ${disk.path} has them; choose another disk or image`,
    }
  return undefined
}

export type SizedImage = { name: string; sizeBytes: number; sectorBytes: number }
export type SizedDisk = Pick<Disk, 'path' | 'sizeBytes' | 'sectorBytes'>

/**
 * Why the image is too large for the disk. `allowShrink`: it may be cut behind its last partition;
 * `shrink`: whether that would do, undefined where it only shows when the image is read.
 */
export function whyTooLarge(
  image: SizedImage,
  disk: SizedDisk,
  { allowShrink, shrink }: { allowShrink: boolean; shrink: ShrinkVerdict | undefined },
): Finding | undefined {
  if (image.sizeBytes <= disk.sizeBytes) return undefined
  const isBlocked = shrink?.kind === 'blocked'
  if (allowShrink && !isBlocked) return undefined
  const figures =
    `Image "${image.name}" is ${formatBytes(image.sizeBytes)} (${image.sizeBytes} bytes) ` +
    `but disk ${disk.path} holds ${formatBytes(disk.sizeBytes)} (${disk.sizeBytes} bytes)`
  const why = allowShrink && isBlocked ? `, and ${shrink.reason}` : ''
  const how =
    shrink?.kind === 'fits'
      ? `its last partition ends at byte ${shrink.endBytes}, so allow the run to cut it (allowShrink), or `
      : ''
  const message = `${figures}${why}; ${how}choose another disk or image`
  return { code: 'image-too-large', message }
}

/** A capture of such a disk would make an image that no format of ours describes. */
export function whyUncapturable(disk: Pick<Disk, 'path' | 'sectorBytes'>): Finding | undefined {
  const { path, sectorBytes } = disk
  if (sectorBytes === 512 || sectorBytes === 4096) return undefined
  return {
    code: 'sector-size',
    message: `Disk ${path} has sectors of ${sectorBytes} bytes, not 512 or 4096`,
  }
}
