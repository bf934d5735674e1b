import type { Plan, PlanItem } from '#protocol/run/plan.ts'

/** The machines of a plan in the order in which they are to be looked at. */

export function canStart(item: PlanItem): boolean {
  return item.problems.length === 0
}

/** Problems first, then warnings, then by name. */
export function inReadingOrder(items: readonly PlanItem[]): PlanItem[] {
  const rank = (item: PlanItem) => (item.problems.length > 0 ? 0 : item.warnings.length > 0 ? 1 : 2)
  return items.toSorted(
    (left, right) => rank(left) - rank(right) || left.name.localeCompare(right.name),
  )
}

export function startable(plan: Plan): PlanItem[] {
  return plan.items.filter(canStart)
}

/** `Deploy debian-13 to 3 machines` */
export function planTitle({ workflow, image, items }: Plan): string {
  const whom = items.length === 1 ? (items[0]?.name ?? '') : `${items.length} machines`
  switch (workflow) {
    case 'deploy':
      return `Deploy ${image ?? 'an image'} to ${whom}`
    case 'capture':
      return `Capture ${whom} as ${image ?? 'an image'}`
    case 'verify':
      return `Verify ${whom}`
    case 'wipe':
      return `Wipe ${whom}`
    case 'inventory':
      return `Inventory of ${whom}`
  }
}

export function isExpired(plan: Plan, now: Date): boolean {
  return Date.parse(plan.expiresAt) <= now.getTime()
}
