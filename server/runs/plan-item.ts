import { chooseDisk } from '#protocol/machine/disk-choice.ts'
import { expectTarget, targetDifferences } from '#protocol/run/expected-target.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { Mac } from '#protocol/mac.ts'
import type { ExpectedTarget, PlanItem, PlanRequest } from '#protocol/run/plan.ts'
import type { Finding } from '#protocol/run/run-checks.ts'
import type { Run } from '#protocol/run/run.ts'
import { imageOf, refuseRun, runOptions, whyDamaged, type MachineSettings } from './new-run.ts'
import { judgeDisk, type PlannedImage } from './plan-judge.ts'
import { describeLosses, describePresent } from './plan-present.ts'

/** What a run would do to one machine, decided from records alone. */

export interface PlannedMachine extends MachineSettings {
  mac: Mac
  inventory: Inventory | null
  lastInventoryAt: Date | null
}

/** All that plans are made from. Maps of runs by the machine's MAC, of the others by image name. */
export interface PlanFacts {
  activeRuns: ReadonlyMap<string, Pick<Run, 'id' | 'workflow' | 'state'>>
  /** Runs that wrote to the machine after its inventory was taken. */
  writers: ReadonlyMap<string, string>
  images: ReadonlyMap<string, PlannedImage>
  /** Runs that are capturing. */
  captures: ReadonlyMap<string, string>
}

/** Older than this, somebody may well have changed the machine. */
export const STALE_INVENTORY_DAYS = 7
const DAY_MILLISECONDS = 24 * 3600 * 1000

export function planUnknownMachine(mac: Mac): PlanItem {
  return {
    ...EMPTY,
    mac,
    name: mac,
    problems: [
      {
        code: 'machine-unknown',
        message: `There is no machine with MAC ${mac}; enter it with PUT /api/machines/${mac}`,
      },
    ],
  }
}

const EMPTY = {
  hostname: null,
  image: null,
  imageDigest: null,
  inventoryAt: null,
  options: null,
  target: null,
  present: null,
  losses: [],
  untouched: [],
  fit: null,
  warnings: [],
} satisfies Omit<PlanItem, 'mac' | 'name' | 'problems'>

/** Never throws, whatever the inventory says. */
export function planItem(
  request: PlanRequest,
  machine: PlannedMachine,
  facts: PlanFacts,
  now: Date,
): PlanItem {
  const run = { ...request, mac: machine.mac }
  const { workflow } = request
  const options = runOptions(run, machine)
  const imageName = imageOf(run, machine)
  const image = imageName === undefined ? undefined : facts.images.get(imageName)
  const problems = [
    refuseRun(run, machine),
    findActive(machine, facts),
    imageName === undefined ? undefined : findImageProblem(request, imageName, facts),
  ].flatMap((found) => (found ? [{ code: found.code, message: found.message }] : []))
  const warnings: Finding[] = []
  const item: PlanItem = {
    ...EMPTY,
    mac: machine.mac,
    name: machine.name,
    hostname: options.hostname ?? null,
    image: imageName ?? null,
    imageDigest: workflow === 'deploy' ? (image?.digest ?? null) : null,
    options,
    problems,
    warnings,
  }
  if (workflow === 'capture' && image)
    warnings.push({
      code: 'image-replaced',
      message: `There is an image "${imageName}" already; the capture becomes its next version and takes its place, and the one before stays to be rolled back to`,
    })
  const { inventory } = machine
  if (!inventory) {
    problems.push({
      code: 'inventory-missing',
      message: `Nothing is known of the disks of machine "${machine.name}" (${machine.mac}); let it boot from the network once, so that it sends its inventory`,
    })
    return item
  }
  warnings.push(...inventoryWarnings(machine, facts, now))
  const choice = chooseDisk(inventory.disks, options.disk)
  if (choice.kind === 'refused') problems.push({ code: choice.code, message: choice.reason })
  const disk = choice.kind === 'chosen' ? choice.disk : undefined
  const planned = {
    ...item,
    inventoryAt: machine.lastInventoryAt?.toISOString() ?? inventory.at,
    untouched: inventory.disks.filter((other) => other !== disk).map(describeUntouched),
  }
  if (!disk) return planned

  const deployed = workflow === 'deploy' ? image : undefined
  const judged = judgeDisk(workflow, disk, deployed, inventory, options)
  problems.push(...judged.problems)
  const target = expectedTarget(request, machine, facts, disk)
  warnings.push(...judged.warnings, ...twinWarnings(target, disk, inventory.disks))
  return {
    ...planned,
    target,
    present: describePresent(disk),
    losses: workflow === 'capture' ? [] : describeLosses(disk),
    fit: judged.fit,
  }
}

function findActive(machine: PlannedMachine, { activeRuns }: PlanFacts): Finding | undefined {
  const active = activeRuns.get(machine.mac)
  if (!active) return undefined
  return {
    code: 'run-active',
    message: `Machine "${machine.name}" (${machine.mac}) is ${active.state} with run ${active.id} (${active.workflow}); wait for its end or cancel it`,
  }
}

function findImageProblem(
  { workflow }: PlanRequest,
  name: string,
  { images, captures }: PlanFacts,
): Finding | undefined {
  if (workflow === 'deploy' && !images.has(name))
    return {
      code: 'image-unknown',
      message: `There is no image "${name}"; upload or capture it first`,
    }
  const { damagedChunks = 0 } = images.get(name) ?? {}
  if (workflow === 'deploy' && damagedChunks > 0)
    return { code: 'image-damaged', message: whyDamaged(name, damagedChunks) }
  const other = workflow === 'capture' ? captures.get(name) : undefined
  if (other === undefined) return undefined
  return {
    code: 'image-in-use',
    message: `Run ${other} is capturing into image "${name}" already; choose another name`,
  }
}

function inventoryWarnings(machine: PlannedMachine, { writers }: PlanFacts, now: Date): Finding[] {
  const warnings: Finding[] = []
  const at = machine.lastInventoryAt
  const days = at ? Math.floor((now.getTime() - at.getTime()) / DAY_MILLISECONDS) : 0
  if (at && days >= STALE_INVENTORY_DAYS)
    warnings.push({
      code: 'inventory-old',
      message: `The inventory is ${days} days old (${at.toISOString()}); if the machine differs by now, its run stops before the first write`,
    })
  const writer = writers.get(machine.mac)
  if (writer !== undefined)
    warnings.push({
      code: 'content-unknown',
      message: `Run ${writer} wrote to this machine after its inventory was taken: what is on the disk now is not known, and the run is held to the disk's model, serial and size only`,
    })
  return warnings
}

/** A capture takes what it finds, so that it is held to the disk alone and not to its content. */
function expectedTarget(
  { workflow }: PlanRequest,
  { mac }: PlannedMachine,
  { writers }: PlanFacts,
  disk: Disk,
): ExpectedTarget {
  const { fingerprint, ...identity } = expectTarget(disk)
  const isContentKnown = workflow !== 'capture' && !writers.has(mac)
  return { ...identity, ...(isContentKnown && fingerprint !== undefined && { fingerprint }) }
}

/** Two disks that nothing but their places tells apart: should those change, no check would notice. */
function twinWarnings(target: ExpectedTarget, disk: Disk, disks: readonly Disk[]): Finding[] {
  const twins = disks.filter(
    (other) =>
      other !== disk && targetDifferences(target, { ...other, path: target.path }).length === 0,
  )
  return twins.map(({ path }) => ({
    code: 'disk-ambiguous',
    message: `Disk ${path} is like ${disk.path} in all that the run is held to, so that only the path tells them apart; unplug one of them if you are not sure which is which`,
  }))
}

function describeUntouched({
  path,
  model,
  serial,
  sizeBytes,
}: Disk): PlanItem['untouched'][number] {
  return {
    path,
    ...(model !== undefined && { model }),
    ...(serial !== undefined && { serial }),
    sizeBytes,
  }
}

/** What a person has to type before the machine's data is destroyed. */
export function confirmationOf({ hostname, name }: PlanItem): string {
  return hostname ?? name
}
