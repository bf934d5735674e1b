import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Plan, PlanItem } from '#protocol/run/plan.ts'
import { partitionLines } from './machine-text.ts'
import { formatTable } from './table.ts'
import { ago, paint, plural, printable } from './text.ts'

/** Beyond this many machines a plan is a table; one by one only what is wrong with them. */
const DETAILED_MACHINES = 3

export function describePlan(plan: Plan): string {
  const runnable = plan.items.filter(({ problems }) => problems.length === 0)
  const parts =
    plan.items.length <= DETAILED_MACHINES
      ? plan.items.map((item) => describeItem(plan, item))
      : [planTable(plan), ...findingsOf(plan)]
  return [headline(plan), ...parts, verdict(plan, runnable.length)].join('\n\n')
}

function headline({ workflow, image, imageDigest, items }: Plan): string {
  const what = {
    deploy: `Deploy ${image ? `image "${image}"` : 'the assigned images'} to`,
    capture: `Capture image "${image}" from`,
    verify: 'Compare a disk of',
    wipe: 'Wipe a disk of',
    inventory: 'Take an inventory of',
  }[workflow]
  const digest = imageDigest ? paint('dim', ` (${imageDigest.slice(0, 12)}…)`) : ''
  return `${paint('bold', `${what} ${plural(items.length, 'machine')}`)}${digest}`
}

function describeItem(plan: Plan, item: PlanItem): string {
  const { target, present, untouched } = item
  const lines = [
    `${paint('bold', printable(item.name))}  ${item.mac}${item.inventoryAt ? paint('dim', `  inventory of ${ago(item.inventoryAt)}`) : ''}`,
  ]
  if (plan.workflow === 'deploy' && item.hostname !== null)
    lines.push(`  hostname     ${printable(item.hostname)}`)
  if (item.image !== null && plan.image === null) lines.push(`  image        ${item.image}`)
  if (target) {
    lines.push(`  target disk  ${paint('bold', targetText(target))}`)
    if (target.fingerprint === undefined && plan.workflow !== 'capture')
      lines.push(paint('yellow', '               a run has written to it since it was looked at'))
  }
  if (present) lines.push(...presentLines(present).map((line) => `  ${line}`))
  if (item.losses.length > 0)
    lines.push(...item.losses.map((loss) => `  ${paint('red', 'will be lost')} ${printable(loss)}`))
  const fit = fitText(item)
  if (fit) lines.push(`  fit          ${fit}`)
  for (const disk of untouched) lines.push(`  untouched    ${targetText(disk)}`)
  return [...lines, ...findingLines(item).map((line) => `  ${line}`)].join('\n')
}

function targetText(disk: { path: string; model?: string; serial?: string; sizeBytes: number }) {
  const facts = [disk.model, disk.serial && `serial ${disk.serial}`, formatBytes(disk.sizeBytes)]
  return printable(`${disk.path} (${facts.filter(Boolean).join(', ')})`)
}

function presentLines(present: Present) {
  const { partitionTable, partitions, fileSystem, operatingSystem, layoutError } = present
  const system = operatingSystem ? `${printable(operatingSystem)}, ` : ''
  if (partitions.length > 0)
    return [
      `on it now    ${system}${partitionTable.toUpperCase()}, ${plural(partitions.length, 'partition')}`,
      ...partitionLines(partitions).map((line) => `             ${line}`),
    ]
  const content = fileSystem
    ? `${printable(fileSystem.type)} on the whole disk`
    : layoutError === undefined
      ? 'nothing that is known'
      : `not known: ${printable(layoutError)}`
  return [`on it now    ${system}${content}`]
}
type Present = NonNullable<PlanItem['present']>

function fitText({ fit }: PlanItem): string | undefined {
  if (!fit) return undefined
  const grows = fit.grows
    ? `; partition ${fit.grows.partition} grows from ${formatBytes(fit.grows.fromBytes)} to ${formatBytes(fit.grows.toBytes)}`
    : ''
  return `${formatBytes(fit.imageBytes)} on ${formatBytes(fit.diskBytes)}${grows}`
}

function findingLines({ problems, warnings }: PlanItem): string[] {
  return [
    ...problems.map(({ message }) => `${paint('red', 'problem')}      ${printable(message)}`),
    ...warnings.map(({ message }) => `${paint('yellow', 'warning')}      ${printable(message)}`),
  ]
}

function planTable({ items }: Plan): string {
  return formatTable(
    items,
    [
      { head: 'Machine', cell: ({ name }) => name, key: true },
      { head: 'MAC', cell: ({ mac }) => mac, key: true },
      { head: 'Target disk', cell: ({ target }) => target?.path },
      { head: 'Serial', cell: ({ target }) => target?.serial },
      {
        head: 'Size',
        cell: ({ target }) => (target ? formatBytes(target.sizeBytes) : undefined),
        align: 'right',
      },
      { head: 'On it now', cell: presentSummary },
      { head: 'Can start', cell: ({ problems }) => (problems.length > 0 ? 'no' : 'yes') },
    ],
    process.stdout.isTTY ? process.stdout.columns : undefined,
  )
}

function presentSummary({ present }: PlanItem): string | undefined {
  if (!present) return undefined
  if (present.operatingSystem) return present.operatingSystem
  return present.partitions.length > 0
    ? plural(present.partitions.length, 'partition')
    : (present.fileSystem?.type ?? undefined)
}

function findingsOf({ items }: Plan): string[] {
  const lines = items.flatMap((item) =>
    findingLines(item).map((line) => `${printable(item.name)}: ${line}`),
  )
  return lines.length > 0 ? [lines.join('\n')] : []
}

function verdict(plan: Plan, runnable: number): string {
  const { items, expiresAt } = plan
  if (runnable === 0) return paint('red', 'No run can be started.')
  const some = runnable < items.length ? `${runnable} of ${items.length} can be started. ` : ''
  const loss = plan.destructive
    ? paint(
        'red',
        `All data on ${runnable === 1 ? 'the target disk' : `${runnable} target disks`} will be destroyed.`,
      )
    : 'Nothing is written to any disk.'
  return `${some}${loss} ${paint('dim', `The plan is good ${ago(expiresAt).replace('in ', 'for ')}: ${plan.id}`)}`
}
