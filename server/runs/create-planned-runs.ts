import { randomUUIDv7 } from 'node:crypto'
import { parseMac, type Mac } from '#protocol/mac.ts'
import type { Plan, PlanItem, PlannedRunRequest, PlannedRuns } from '#protocol/run/plan.ts'
import type { Run } from '#protocol/run/run.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '#server/db/database.ts'
import { chunkMachines } from '#server/db/machines/machine-chunks.ts'
import { findMachineRow } from '#server/db/machines/machines.ts'
import { findPlan, findUsedMachines } from '#server/db/runs/plans.ts'
import { insertRuns } from '#server/db/runs/insert-runs.ts'
import { toRun, type NewRun } from '#server/db/runs/runs.ts'
import { planItems, readRecords, type Records } from './make-plan.ts'
import { createSteps } from './new-run.ts'
import { planUnknownMachine } from './plan-item.ts'
import { refuseItem, refusePlan } from './plan-recheck.ts'
import { RunRefusedError } from './refused.ts'

/** Who asks: a plan is started by who made it, and so has read it, or by an admin. */
export interface Starter {
  name: string
  isAdmin: boolean
}

type Refusal = PlannedRuns['refused'][number]

/**
 * Queues the runs of a plan, each held to it: of one machine a Run, of several all that can be.
 * Throws RunRefusedError if the plan, or its one machine, is refused.
 */
export async function createPlannedRuns(
  db: Database,
  request: PlannedRunRequest,
  starter: Starter,
  now: Date,
): Promise<Run | PlannedRuns> {
  const plan = await getPlan(db, request.plan, starter)
  const item = request.mac === undefined ? undefined : await getItem(db, plan, request.mac)
  const refused = refusePlan(plan, { item, confirmation: request.confirmation }, now)
  if (refused) throw new RunRefusedError(refused.status, refused.code, refused.message)
  const made = await createInChunks(db, plan, item ? [item] : plan.items, now)
  if (!item && plan.items.length > 1) {
    const refusals = made.refused.map(({ status: _status, ...refusal }) => refusal)
    return { items: made.items, refused: refusals, next: null }
  }
  const [run] = made.items
  if (run) return run
  const { status, error } = made.refused[0]!
  throw new RunRefusedError(status, error.code, error.message, error.details)
}

async function getPlan(db: Database, id: string, starter: Starter): Promise<Plan> {
  const plan = await findPlan(db, id)
  if (!plan) throw new RunRefusedError(404, 'not-found', `There is no plan ${id}`)
  if (starter.isAdmin || plan.createdBy === starter.name) return plan
  throw new RunRefusedError(
    403,
    'plan-of-another',
    `Plan ${id} was made by "${plan.createdBy}"; make and read your own`,
  )
}

async function getItem(db: Database, plan: Plan, text: string): Promise<PlanItem> {
  const mac = parseMac(text)
  const key = (await findMachineRow(db, mac))?.mac ?? mac
  const item = plan.items.find((one) => one.mac === key || one.mac === mac)
  if (item) return item
  throw new RunRefusedError(422, 'not-planned', `Plan ${plan.id} says nothing of machine ${mac}`)
}

interface Made {
  items: Run[]
  refused: (Refusal & { status: RunRefusedError['status'] })[]
}

/** What was made by then stays if the server stops midway. */
async function createInChunks(
  db: Database,
  plan: Plan,
  items: readonly PlanItem[],
  now: Date,
): Promise<Made> {
  const made: Made = { items: [], refused: [] }
  const itemOf = new Map(items.map((item) => [item.mac as Mac, item]))
  for await (const macs of chunkMachines(db, [...itemOf.keys()])) {
    const chunk = macs.map((mac) => itemOf.get(mac)!)
    const done = await db.transaction((tx) => create(tx, plan, chunk, now))
    made.items.push(...done.items)
    made.refused.push(...done.refused)
  }
  return made
}

async function create(
  tx: Transaction,
  plan: Plan,
  items: readonly PlanItem[],
  now: Date,
): Promise<Made> {
  const macs = items.map(({ mac }) => mac as Mac)
  const request = { ...plan.request, macs }
  const records = await readRecords(tx, request, { locks: true })
  const used = await findUsedMachines(tx, plan.id, macs)
  const present = new Map(planItems(request, records, now).map((one) => [one.mac, one]))
  const refused: Made['refused'] = []
  const accepted: NewRun[] = []
  for (const item of items) {
    const { mac } = item
    const refusal = refuseItem(
      item,
      present.get(mac) ?? planUnknownMachine(mac as Mac),
      used.get(mac as Mac),
    )
    if (refusal) refused.push(toRefusal(mac, refusal))
    else accepted.push(newRun(plan, item, now))
  }
  const rows = await insertRuns(tx, accepted)
  const made = new Set<string>(rows.map(({ mac }) => mac))
  for (const { mac } of accepted) if (!made.has(mac)) refused.push(justStarted(mac, records))
  return { items: rows.map(toRun), refused }
}

function toRefusal(
  mac: string,
  { status, code, message, details }: NonNullable<ReturnType<typeof refuseItem>>,
): Made['refused'][number] {
  return { mac, status, error: { code, message, ...(details && { details }) } }
}

/** Somebody else was faster, after we had looked. */
function justStarted(mac: string, { machines }: Records): Made['refused'][number] {
  const name = machines.get(mac as Mac)?.name ?? mac
  const message = `Machine "${name}" (${mac}) has got another run this moment; try again`
  return { mac, status: 409, error: { code: 'run-active', message } }
}

/** As it was planned: `refuseItem` has found that to be so still. */
function newRun(plan: Plan, item: PlanItem, now: Date): NewRun {
  return {
    id: randomUUIDv7(),
    mac: item.mac as Mac,
    workflow: plan.workflow,
    state: 'queued',
    image: item.image,
    imageDigest: item.imageDigest === null ? null : parseSha256(item.imageDigest),
    planId: plan.id,
    expected: item.target,
    options: item.options!,
    steps: createSteps(plan.workflow),
    createdAt: now,
  }
}
