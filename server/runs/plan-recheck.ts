import { targetDifferences } from '#protocol/run/expected-target.ts'
import type { Plan, PlanItem } from '#protocol/run/plan.ts'
import type { RunOptions } from '#protocol/run/run.ts'
import { confirmationOf } from './plan-item.ts'
import type { Refused } from './new-run.ts'

/** Whether what was planned may still be done: decided from the plan and what would be planned now. */

/** Why no run of the plan may start, whichever machine it is for. */
export function refusePlan(
  plan: Plan,
  request: { confirmation?: string | undefined; item?: PlanItem | undefined },
  now: Date,
): Refused | undefined {
  if (now.getTime() >= Date.parse(plan.expiresAt))
    return {
      status: 409,
      code: 'plan-expired',
      message: `The plan expired at ${plan.expiresAt}; make a new one and read it`,
    }
  const { confirmation, item } = request
  if (confirmation === undefined || confirmation === plan.confirmation) return undefined
  const expected = item ? confirmationOf(item) : plan.confirmation
  if (confirmation === expected) return undefined
  return {
    status: 422,
    code: 'not-confirmed',
    message: `Type "${expected}" to confirm what the plan says, not "${confirmation}"`,
  }
}

/** Why the machine's run may not start, or undefined if all is as the plan says. */
export function refuseItem(
  planned: PlanItem,
  present: PlanItem,
  usedBy: string | undefined,
): (Refused & { details?: string[] }) | undefined {
  const machine = `machine "${planned.name}" (${planned.mac})`
  if (usedBy !== undefined)
    return {
      status: 409,
      code: 'plan-used',
      message: `Run ${usedBy} was made of this plan for ${machine} already; make a new plan`,
    }
  const [plannedProblem] = planned.problems
  if (plannedProblem)
    return {
      status: 409,
      code: plannedProblem.code,
      message: `The plan says that nothing can be done with ${machine}: ${plannedProblem.message}`,
    }
  const differences = planDifferences(planned, present)
  if (differences.length > 0)
    return {
      status: 409,
      code: 'plan-outdated',
      message: `What the plan says of ${machine} is no longer so: ${differences.join('; ')}. Make a new plan and read it`,
      details: differences,
    }
  const [problem] = present.problems
  return problem && { status: 409, ...problem }
}

/** What differs, a sentence without a full stop each. */
export function planDifferences(planned: PlanItem, present: PlanItem): string[] {
  const differences = imageDifferences(planned, present)
  const changed = changedOptions(planned.options, present.options)
  if (changed.length > 0)
    differences.push(`The machine's settings were changed (${changed.join(', ')})`)
  if (!planned.target) return differences
  if (present.target) differences.push(...targetDifferences(planned.target, present.target))
  else if (present.problems.every(({ code }) => code === 'machine-locked'))
    differences.push('The disk is not known any more')
  return differences
}

function imageDifferences(planned: PlanItem, present: PlanItem): string[] {
  if (planned.imageDigest === null || planned.imageDigest === present.imageDigest) return []
  if (present.image !== planned.image)
    return [
      `The machine's image is "${present.image ?? 'none'}" but the plan said "${planned.image}"`,
    ]
  const what = present.imageDigest === null ? 'was deleted' : 'has been replaced by another'
  return [`Image "${planned.image}" ${what} since the plan was made`]
}

const OPTION_NAMES: Record<keyof RunOptions, string> = {
  disk: 'disk hints',
  grow: 'growth',
  hostname: 'hostname',
  network: 'network',
  after: 'what follows the run',
  zeroUnused: 'zeroing',
  identity: 'identity',
  force: 'force',
  allowShrink: 'cutting the image to a smaller disk',
  wholeDisk: 'capturing all of the disk',
}

/** Hints, hostname and network come from the machine where the request left them open. */
function changedOptions(planned: RunOptions | null, present: RunOptions | null): string[] {
  return Object.entries(OPTION_NAMES)
    .filter(([key]) => {
      const name = key as keyof RunOptions
      return stable(planned?.[name]) !== stable(present?.[name])
    })
    .map(([, name]) => name)
}

/** A database does not keep the order of keys. */
function stable(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return JSON.stringify(Object.entries(value).toSorted(([one], [two]) => (one < two ? -1 : 1)))
}
