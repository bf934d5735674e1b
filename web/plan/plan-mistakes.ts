import { HOSTNAME_PATTERN, IMAGE_NAME_PATTERN } from '#protocol/names.ts'
import type { PlanDraft } from './plan-query.ts'

/** What is wrong with a draft, by field; empty: a plan can be made of it. */
export type PlanMistakes = Partial<Record<'macs' | 'image' | 'hostname', string>>

export const MOST_MACHINES = 1000

export function mistakesOf({ workflow, macs, image, hostname }: PlanDraft): PlanMistakes {
  const mistakes: PlanMistakes = {}
  if (macs.length === 0) mistakes.macs = 'Choose at least one machine'
  if (macs.length > MOST_MACHINES) mistakes.macs = `A plan holds ${MOST_MACHINES} machines at most`
  if (workflow === 'capture') {
    if (macs.length > 1)
      mistakes.macs = 'Capture one machine at a time: each becomes an image of its own name'
    if (!new RegExp(IMAGE_NAME_PATTERN).test(image))
      mistakes.image =
        'Small letters, digits, dots, hyphens and underscores; a letter or digit first: debian-13'
  }
  if (workflow === 'deploy' && macs.length === 1 && hostname !== '')
    if (!new RegExp(HOSTNAME_PATTERN).test(hostname))
      mistakes.hostname = 'Letters, digits, hyphens and dots: rack3-node7'
  return mistakes
}
