import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Disk, Inventory, Partition } from '#protocol/machine/inventory.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { bootLines } from './boot-stages.ts'
import { formatFacts, formatTable } from './table.ts'
import { ago, localTime, paint, paintState, plural, printable } from './text.ts'

/** A machine as `stampede machines show` tells it. */
export function describeMachine(machine: Machine): string {
  const { inventory } = machine
  const sections = [
    formatFacts(factsOf(machine)),
    machine.boot && section('Last boot', bootLines(machine.boot).join('\n')),
    inventory && section(`Inventory of ${localTime(inventory.at)}`, hardware(inventory)),
    inventory && section('Disks', inventory.disks.map(describeDisk).join('\n')),
    inventory && inventory.nics.length > 0 && section('Network cards', nics(inventory)),
  ]
  return sections.filter(Boolean).join('\n\n')
}

function section(title: string, text: string): string {
  const lines = text.split('\n').map((line) => `  ${line}`)
  return [paint('bold', title), ...lines].join('\n')
}

function factsOf(machine: Machine): [string, string | undefined][] {
  const { name, hostname, image, run, network, disk, tags } = machine
  const optional = (text: string | undefined) => (text === undefined ? undefined : printable(text))
  return [
    ['Machine', printable(name)],
    ['MAC', machine.macs.join(', ') || machine.mac],
    ['State', paintState(machine.state) + (machine.locked ? paint('yellow', ', locked') : '')],
    ['Run', run && `${run.workflow} ${paintState(run.state)} (${run.id})`],
    ['Image', image],
    ['On its disk', machine.imageDigest && `image ${machine.imageDigest.slice(0, 12)}…`],
    ['Hostname', optional(hostname)],
    ['Network', network && Object.values(network).flat().join(' ')],
    ['Disk hints', disk && printable(JSON.stringify(disk))],
    ['Tags', tags.length > 0 ? printable(tags.join(', ')) : undefined],
    [
      'Model',
      optional([machine.manufacturer, machine.product].filter(Boolean).join(' ') || undefined),
    ],
    ['Serial', optional(machine.serial)],
    ['Last seen', ago(machine.lastSeenAt)],
  ]
}

function hardware({
  cpu,
  memoryBytes,
  firmware,
  secureBoot,
  architecture,
  tpm,
}: Inventory): string {
  const cores = [plural(cpu.cores, 'core'), plural(cpu.threads, 'thread')].join(', ')
  return formatFacts([
    ['Processor', `${printable(cpu.model ?? architecture)} (${cores})`],
    ['Memory', `${(memoryBytes / 1024 ** 3).toFixed(1)} GiB`],
    [
      'Firmware',
      `${firmware === 'uefi' ? 'UEFI' : 'BIOS'}${secureBoot ? ', Secure Boot is on' : ''}`,
    ],
    ['TPM', tpm && printable(tpm.version ?? 'yes')],
  ])
}

export function describeDisk(disk: Disk): string {
  const facts = [
    formatBytes(disk.sizeBytes),
    [disk.vendor, disk.model].filter(Boolean).join(' '),
    disk.serial && `serial ${disk.serial}`,
    disk.transport,
    disk.removable && 'removable',
    disk.readOnly && 'read-only',
    disk.busy && `in use (${disk.busy})`,
  ].filter(Boolean)
  const head = `${paint('bold', printable(disk.path))}  ${printable(facts.join(', '))}`
  const table = disk.partitionTable.type
  const content = disk.fileSystem
    ? `${printable(disk.fileSystem.type)} on the whole disk`
    : table === 'none'
      ? tellNothing(disk)
      : undefined
  const lines = content ? [content] : partitionLines(disk.partitions)
  return [head, ...lines.map((line) => `  ${line}`)].join('\n')
}

function tellNothing({ layoutError }: Disk): string {
  return layoutError === undefined
    ? 'no partition table'
    : `what is on it is not known: ${printable(layoutError)}`
}

/** A line for each partition. */
export function partitionLines(partitions: readonly Partition[]): string[] {
  if (partitions.length === 0) return ['no partitions']
  return formatTable(
    partitions,
    [
      { head: 'Partition', cell: ({ path }) => path, key: true },
      { head: 'Size', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
      { head: 'Content', cell: ({ fileSystem, type }) => fileSystem?.type ?? type },
      { head: 'Label', cell: ({ fileSystem, name }) => fileSystem?.label ?? name },
    ],
    undefined,
  ).split('\n')
}

function nics({ nics: cards }: Inventory): string {
  return formatTable(
    cards,
    [
      { head: 'Card', cell: ({ name }) => name },
      { head: 'MAC', cell: ({ mac }) => mac },
      {
        head: 'Link',
        cell: ({ link, speedMbps }) => (link ? (speedMbps ? `${speedMbps} Mb/s` : 'up') : 'down'),
      },
      { head: 'Driver', cell: ({ driver }) => driver },
      { head: 'Addresses', cell: ({ addresses }) => addresses.join(', ') },
    ],
    undefined,
  )
}
