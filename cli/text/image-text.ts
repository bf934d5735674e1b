import type { Image } from '#protocol/image/image-info.ts'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { damageText } from '../images/damage-text.ts'
import { formatFacts, formatTable } from './table.ts'
import { ago, localTime, paint, printable, printableLines } from './text.ts'

/** All that `GET /api/images/{name}` says of an image. */
export function describeImage(image: Image): string {
  const { info, usedBy } = image
  const damage = damageText(image)
  const facts = formatFacts([
    ['Image', image.name],
    ['Description', image.description && printableLines(image.description)],
    [
      'Version',
      `${image.version}${image.versionCount > 1 ? `, of ${image.versionCount}; the latest is ${image.latestVersion}` : ''}`,
    ],
    ['Damaged', damage && paint('red', damage)],
    ['Digest', image.digest],
    ['Disk size', `${formatBytes(image.sizeBytes)} (sectors of ${image.sectorBytes} bytes)`],
    ['Content', formatBytes(image.contentBytes)],
    ['Stored', formatBytes(image.storedBytes)],
    [
      'Its own',
      image.uniqueBytes === null
        ? undefined
        : `${formatBytes(image.uniqueBytes)}, which no other image or version has`,
    ],
    ['System', info.operatingSystem && printable(info.operatingSystem)],
    ['Processor', info.architecture && printable(info.architecture)],
    ['Boots', info.bootModes && (info.bootModes.join(', ') || 'on no firmware that we know')],
    ...(info.leftOut ?? []).map(({ partition, what, bytes }): [string, string] => [
      'Left out',
      `${partition === undefined ? '' : `partition ${partition}: `}${printable(what)}, ${formatBytes(bytes)}`,
    ]),
    ...(info.copiedWhole ?? []).map(({ reason }): [string, string] => [
      'With free space',
      printable(reason),
    ]),
    ['Source', info.source && printable(info.source)],
    ['Created', `${localTime(image.createdAt)} (${ago(image.createdAt)})`],
    ['Machines', usedBy.machines.map(({ name }) => printable(name)).join(', ') || undefined],
    ['Active runs', usedBy.runs.join(', ') || undefined],
  ])
  const { partitions } = info
  if (!partitions || partitions.length === 0) return facts
  const table = formatTable(
    partitions,
    [
      { head: 'Partition', cell: ({ number }) => number, align: 'right' },
      { head: 'Start', cell: ({ startBytes }) => formatBytes(startBytes), align: 'right' },
      { head: 'Size', cell: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
      { head: 'Content', cell: ({ fileSystem, type }) => fileSystem ?? type },
      { head: 'Label', cell: ({ label, name }) => label ?? name },
    ],
    process.stdout.isTTY ? process.stdout.columns : undefined,
  )
  return `${facts}\n\n${paint('bold', (info.partitionTable ?? 'none').toUpperCase())}\n${table}`
}
