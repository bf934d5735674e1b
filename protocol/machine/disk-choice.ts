import type { DiskHints } from './disk-hints.ts'
import type { Disk } from './inventory.ts'

export type DiskChoice =
  | { kind: 'chosen'; disk: Disk }
  | { kind: 'refused'; code: 'disk-missing' | 'disk-ambiguous'; reason: string }

/** Sizes of disks are known in steps of 512 bytes; people read GB. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1)
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${units[power]}`
}

/**
 * The disk that a run works on: the one that matches all hints, or without hints the only
 * candidate. None or several: refused, since a guess could erase the wrong one.
 *
 * USB and removable disks, loop devices and the disk in use by the running system are candidates
 * only if a hint says which disk is meant: its serial, WWN, path, or that it is removable.
 */
export function chooseDisk(disks: readonly Disk[], hints: DiskHints | undefined): DiskChoice {
  const given = hints ?? {}
  const candidates = isNaming(given) ? disks : disks.filter((disk) => isCandidate(disk, given))
  const matching = candidates.filter((disk) => matchesHints(disk, given))
  const [disk, ...others] = matching
  if (disk && others.length === 0) return { kind: 'chosen', disk }
  const wanted = Object.keys(given).length > 0 ? ` for ${JSON.stringify(given)}` : ''
  const found = disk
    ? `${matching.length} disks fit${wanted}: ${matching.map(describeDisk).join(', ')}`
    : `No disk fits${wanted}; this machine has ${disks.map(describeDisk).join(', ') || 'none'}`
  const code = disk ? 'disk-ambiguous' : 'disk-missing'
  const name = differInSerial(disk ? matching : disks) ? 'serial' : 'path'
  return { kind: 'refused', code, reason: `${found}. Name one disk in the run, say by its ${name}` }
}

/** Virtual disks often have no serial, and namespaces of an NVMe drive share one. */
function differInSerial(disks: readonly Disk[]): boolean {
  const serials = disks.map(({ serial }) => serial?.trim().toLowerCase())
  return !serials.includes(undefined) && new Set(serials).size === serials.length
}

/** `/dev/sda (8.0 GB, serial "S4EV")` */
export function describeDisk(disk: Disk): string {
  const facts = [formatBytes(disk.sizeBytes)]
  if (disk.serial !== undefined) facts.push(`serial "${disk.serial}"`)
  if (disk.transport === 'usb') facts.push('USB')
  if (disk.removable) facts.push('removable')
  if (disk.busy !== undefined) facts.push('in use')
  return `${disk.path} (${facts.join(', ')})`
}

/** Whether all hints that are given describe the disk; text is compared trimmed and without case. */
function matchesHints(disk: Disk, hints: DiskHints): boolean {
  return (
    (hints.serial === undefined || sameText(disk.serial, hints.serial)) &&
    (hints.wwn === undefined || sameWwn(disk.wwn, hints.wwn)) &&
    (hints.path === undefined || disk.path === hints.path.trim()) &&
    (hints.model === undefined || sameText(disk.model, hints.model)) &&
    (hints.minBytes === undefined || disk.sizeBytes >= hints.minBytes) &&
    (hints.maxBytes === undefined || disk.sizeBytes <= hints.maxBytes) &&
    (hints.rotational === undefined || disk.rotational === hints.rotational) &&
    (hints.removable === undefined || disk.removable === hints.removable)
  )
}

/** Hints that can mean only one disk. */
function isNaming(hints: DiskHints): boolean {
  return hints.serial !== undefined || hints.wwn !== undefined || hints.path !== undefined
}

/** Whether a run may take the disk without one of the hints that name it. */
export function isCandidate(disk: Disk, hints: DiskHints = {}): boolean {
  if (disk.busy !== undefined || disk.transport === 'loop') return false
  const isPortable = disk.removable || disk.transport === 'usb'
  return !isPortable || hints.removable === true
}

function sameText(found: string | undefined, wanted: string): boolean {
  return found?.trim().toLowerCase() === wanted.trim().toLowerCase()
}

/** sysfs writes `naa.5000c500…` where udev and labels write `0x5000c500…`. */
function sameWwn(found: string | undefined, wanted: string): boolean {
  return found !== undefined && plainWwn(found) === plainWwn(wanted)
}

function plainWwn(text: string): string {
  return text
    .trim()
    .toLowerCase()
    .replace(/^(naa\.|eui\.|wwn-|0x)+/, '')
}
