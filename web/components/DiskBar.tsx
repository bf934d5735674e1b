import { Tooltip } from '@mantine/core'
import classes from './DiskBar.module.css'
import { diskParts, type DiskPart, type DrawnPartition } from './disk-layout.ts'
import { formatBytes } from './format.ts'

/** More than these would not fit beside each other at the least width of one that can be read. */
const MOST_WIDE_PARTS = 24

interface DiskBarProps {
  sizeBytes: number
  partitions: DrawnPartition[]
  /** What is on the disk itself, without partitions. */
  fileSystem?: string | undefined
  /** False: it could not be read what is there. */
  isKnown?: boolean
  /** `Disk /dev/sda`. */
  label: string
}

/** A disk drawn to scale. Small partitions keep a width that can be seen; what each is says its tip. */
export function DiskBar({
  sizeBytes,
  partitions,
  fileSystem,
  isKnown = true,
  label,
}: DiskBarProps) {
  const parts = diskParts(sizeBytes, partitions)
  if (partitions.length === 0)
    return (
      <ul className={classes.bar} aria-label={`${label}, ${formatBytes(sizeBytes)}`}>
        <li className={fileSystem ? classes.partition : classes.free} style={{ flexGrow: 1 }}>
          {fileSystem ?? (isKnown ? 'Empty: no partitions' : 'Not known')}
        </li>
      </ul>
    )
  const isDense = parts.length > MOST_WIDE_PARTS
  return (
    <ul
      className={classes.bar}
      data-dense={isDense || undefined}
      aria-label={`${label}, ${formatBytes(sizeBytes)}`}
    >
      {parts.map((part, index) => (
        <Part
          key={part.kind === 'free' ? `free-${index}` : part.partition.number}
          part={part}
          isDense={isDense}
        />
      ))}
    </ul>
  )
}

function Part({ part, isDense }: { part: DiskPart; isDense: boolean }) {
  const text =
    part.kind === 'free' ? `Free, ${formatBytes(part.sizeBytes)}` : partitionText(part.partition)
  return (
    <Tooltip label={text} events={{ hover: true, focus: true, touch: true }}>
      <li
        // Hundreds of stops would keep the keyboard from the table below, which says the same.
        tabIndex={isDense ? undefined : 0}
        className={part.kind === 'free' ? classes.free : classes.partition}
        data-kind={part.kind === 'free' ? undefined : kindOf(part.partition)}
        style={{ flexGrow: part.percent, flexBasis: 0 }}
        aria-label={text}
      >
        {!isDense && (
          <span aria-hidden>{part.kind === 'free' ? 'free' : shortText(part.partition)}</span>
        )}
      </li>
    </Tooltip>
  )
}

function partitionText({ number, label, name, fileSystem, sizeBytes }: DrawnPartition): string {
  const called = label ?? name
  const parts = [
    `Partition ${number}`,
    fileSystem ?? 'no known file system',
    called && `"${called}"`,
    formatBytes(sizeBytes),
  ]
  return parts.filter((part) => part).join(', ')
}

function shortText({ number, fileSystem, label, name }: DrawnPartition): string {
  return `${number} ${label ?? name ?? fileSystem ?? ''}`.trim()
}

/** What gives a partition its colour. */
function kindOf({ fileSystem = '' }: DrawnPartition): 'boot' | 'swap' | 'data' | 'unknown' {
  if (/^(vfat|fat)/i.test(fileSystem)) return 'boot'
  if (/swap/i.test(fileSystem)) return 'swap'
  return fileSystem ? 'data' : 'unknown'
}
