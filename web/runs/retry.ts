import type { Run } from '#protocol/run/run.ts'
import { PLANNED_WORKFLOWS, planSearch } from '../plan/plan-query.ts'

/**
 * The address of the plan page with the settings of these runs filled in; undefined: they need no
 * plan, or not the same one.
 */
export function retryAddress(runs: readonly Run[]): string | undefined {
  const [first] = runs
  const workflow = PLANNED_WORKFLOWS.find((name) => name === first?.workflow)
  if (!first || !workflow || runs.some((run) => run.workflow !== workflow)) return undefined
  const { grow, after, zeroUnused, identity, force, allowShrink, wholeDisk, hostname, disk } =
    first.options
  const isSingle = runs.length === 1
  const search = planSearch({
    workflow,
    macs: runs.map(({ mac }) => mac),
    image: runs.every(({ image }) => image === first.image) ? (first.image ?? '') : '',
    grow,
    after,
    zeroUnused,
    identity,
    force,
    ...(allowShrink && { allowShrink }),
    ...(wholeDisk && { wholeDisk }),
    ...(isSingle && hostname !== undefined && { hostname }),
    ...(isSingle && disk?.serial !== undefined && { diskSerial: disk.serial }),
  })
  return `/plan?${search}`
}
