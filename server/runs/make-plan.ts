import { randomUUIDv7 } from 'node:crypto'
import { parseMac, type Mac } from '#protocol/mac.ts'
import type { Plan, PlanItem, PlanRequest } from '#protocol/run/plan.ts'
import type { Database, Transaction } from '#server/db/database.ts'
import type { MachineRow } from '#server/db/machines/machines.ts'
import {
  findActiveCaptures,
  findActiveRuns,
  findEndedSinceInventory,
  findMachineRows,
  findNamedImages,
  insertPlan,
} from '#server/db/runs/plans.ts'
import { imageOf } from './new-run.ts'
import { confirmationOf, planItem, planUnknownMachine, type PlanFacts } from './plan-item.ts'
import { RunRefusedError } from './refused.ts'
import { hasWritten } from './rules.ts'

export const PLAN_SECONDS = 3600

/** Says what runs would do, and remembers having said so. Throws RunRefusedError. */
export async function makePlan(
  db: Database,
  request: PlanRequest,
  createdBy: string,
  now: Date,
): Promise<Plan> {
  if (request.workflow === 'capture' && request.macs.length > 1)
    throw new RunRefusedError(
      422,
      'one-machine',
      `A capture makes an image of one machine but ${request.macs.length} are named; plan each for itself`,
    )
  const records = await readRecords(db, request, { locks: false })
  const items = planItems(request, records, now)
  const plan: Plan = {
    id: randomUUIDv7(),
    createdBy,
    workflow: request.workflow,
    image: common(items.map(({ image }) => image)),
    imageDigest: common(items.map(({ imageDigest }) => imageDigest)),
    request,
    createdAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + PLAN_SECONDS * 1000).toISOString(),
    destructive: request.workflow !== 'capture',
    confirmation: confirmation(items),
    items,
  }
  await insertPlan(db, plan)
  return plan
}

function common<Value>(values: readonly (Value | null)[]): Value | null {
  const [first = null, ...others] = new Set(values)
  return others.length === 0 ? first : null
}

function confirmation(items: readonly PlanItem[]): string {
  const [item, ...others] = items
  if (item && others.length === 0) return confirmationOf(item)
  return String(items.filter(({ problems }) => problems.length === 0).length)
}

/** What the database knows of the machines that a plan is about. */
export interface Records {
  /** By the MACs that were asked for. */
  machines: ReadonlyMap<Mac, MachineRow>
  facts: PlanFacts
}

export async function readRecords(
  db: Database | Transaction,
  request: PlanRequest,
  { locks }: { locks: boolean },
): Promise<Records> {
  const machines = await findMachineRows(db, request.macs.map(parseMac), { locks })
  const keys = [...new Set([...machines.values()].map(({ mac }) => mac))]
  const names = new Set(
    [...machines.values()].flatMap(
      (machine) => imageOf(runRequest(request, machine), machine) ?? [],
    ),
  )
  return {
    machines,
    facts: {
      activeRuns: await findActiveRuns(db, keys),
      writers: await findWriters(db, keys),
      images: await findNamedImages(db, [...names], { locks }),
      captures: await findActiveCaptures(db, request.workflow === 'capture' ? [...names] : [], {
        locks,
      }),
    },
  }
}

/** BOOTy tells nothing of its steps; one that claimed a run has written. */
async function findWriters(db: Database | Transaction, keys: Mac[]): Promise<Map<Mac, string>> {
  const ended = await findEndedSinceInventory(db, keys)
  const writers = ended.filter((run) => run.claimedBy === 'booty' || hasWritten(run))
  return new Map(writers.map(({ mac, id }) => [mac, id]))
}

/** One for each machine, however often and by which of its cards it was named. */
export function planItems(
  request: PlanRequest,
  { machines, facts }: Records,
  now: Date,
): PlanItem[] {
  const items = new Map<Mac, PlanItem>()
  for (const mac of request.macs.map(parseMac)) {
    const machine = machines.get(mac)
    const key = machine?.mac ?? mac
    if (items.has(key)) continue
    items.set(key, machine ? planItem(request, machine, facts, now) : planUnknownMachine(mac))
  }
  return [...items.values()]
}

function runRequest(request: PlanRequest, { mac }: MachineRow) {
  const { macs: _macs, ...settings } = request
  return { ...settings, mac }
}
