import { judgeBootability } from '#protocol/run/bootability.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { PlanItem } from '#protocol/run/plan.ts'
import {
  whyTooLarge,
  whyUncapturable,
  whyUnfit,
  whyUnusable,
  type Finding,
} from '#protocol/run/run-checks.ts'
import type { RunOptions, Workflow } from '#protocol/run/run.ts'
import { predictShrink, type ShrinkVerdict } from '#protocol/disk/shrink.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { predictGrowth } from './plan-growth.ts'

/** The content that an image's name stands for. */
export interface PlannedImage {
  name: string
  digest: Sha256
  sizeBytes: number
  sectorBytes: number
  info: ImageInfo
  /** How many of its chunks the store has lost. */
  damagedChunks?: number
}

export interface Judged {
  problems: Finding[]
  warnings: Finding[]
  fit: PlanItem['fit']
}

/** What the agent would say of a disk and a new image on it: its check-machine asks the same functions. */
export function judgeDisk(
  workflow: Workflow,
  disk: Disk,
  /** Of a deploy, if it is known. */
  image: PlannedImage | undefined,
  inventory: Inventory,
  options: RunOptions,
): Judged {
  const unusable = [
    whyUnusable(disk, workflow),
    workflow === 'capture' ? whyUncapturable(disk) : undefined,
  ]
  if (workflow !== 'deploy' || !image)
    return { problems: unusable.filter((one) => one !== undefined), warnings: [], fit: null }
  const { allowShrink = false } = options
  const shrink = predictShrink(image.info, image.sectorBytes, disk.sizeBytes)
  const unfit = whyUnfit(image, disk) ?? whyTooLarge(image, disk, { allowShrink, shrink })
  const cut = unfit ? undefined : shrinkWarning(image, disk, shrink)
  const { refusal, warning } = judgeBootability(image, inventory)
  const { growth, warnings } = unfit ? NO_GROWTH : judgeGrowth(image, disk, options)
  return {
    problems: [...unusable, unfit, options.force ? undefined : refusal].filter(
      (one) => one !== undefined,
    ),
    warnings: [warning, cut, options.force ? refusal : undefined, ...warnings].filter(
      (one) => one !== undefined,
    ),
    fit: { imageBytes: image.sizeBytes, diskBytes: disk.sizeBytes, grows: growth },
  }
}

/** Undefined if the image is not larger than the disk. */
function shrinkWarning(
  { name, sizeBytes }: PlannedImage,
  disk: Disk,
  shrink: ShrinkVerdict | undefined,
): Finding | undefined {
  if (sizeBytes <= disk.sizeBytes) return undefined
  if (shrink?.kind === 'fits')
    return {
      code: 'image-cut',
      message: `Image "${name}" is cut from ${sizeBytes} to the disk's ${disk.sizeBytes} bytes, behind its last partition, which ends at byte ${shrink.endBytes}`,
    }
  return {
    code: 'shrink-unsure',
    message: `Image "${name}" of ${sizeBytes} bytes is larger than the disk of ${disk.sizeBytes} bytes; whether its partitions end before that shows only when the agent reads it, which stops before the first write if not`,
  }
}

interface JudgedGrowth {
  growth: NonNullable<PlanItem['fit']>['grows']
  warnings: Finding[]
}

const NO_GROWTH: JudgedGrowth = { growth: null, warnings: [] }

function judgeGrowth(image: PlannedImage, disk: Disk, options: RunOptions): JudgedGrowth {
  if (!options.grow) return NO_GROWTH
  const growth = predictGrowth(image.info, image.sectorBytes, disk.sizeBytes)
  if (growth.kind === 'stays') {
    const message = `The root may keep its size: ${growth.reason}`
    return { growth: null, warnings: [{ code: 'growth-unsure', message }] }
  }
  const { limit } = growth
  const warnings = limit === undefined ? [] : [{ code: 'growth-limited', message: limit }]
  if (growth.kind === 'full') return { growth: null, warnings }
  const { partition, fromBytes, toBytes } = growth
  return { growth: { partition, fromBytes, toBytes }, warnings }
}
