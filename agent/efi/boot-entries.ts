/** One `Boot####` variable of UEFI firmware (UEFI 2.10, section 3.1.3). */
export interface BootEntry {
  /** Four hexadecimal digits, as in BootOrder. */
  number: string
  label: string
  /** The partition that it starts from, as blkid names it: a GUID, or `1a2b3c4d-01` with an MBR. */
  partUuid?: string
  /** `\EFI\debian\shimx64.efi` */
  loader?: string
  /** The firmware would boot from the network. */
  isNetwork: boolean
}

export interface BootManager {
  /** What the running system was started by; firmware that started a kernel directly has none. */
  current?: string
  order: string[]
  entries: BootEntry[]
}

/** What to do so that the firmware starts `wanted`, and no entry of ours leads nowhere. */
export interface EntryPlan {
  remove: string[]
  /** An entry of ours that is right as it is. */
  keep?: string
}

export interface WantedEntry {
  label: string
  partUuid: string
  loader: string
}

/** Our entries are known by how their labels begin. */
const OUR_LABEL = /^Stampede\b/

/** Reads what `efibootmgr -v` prints (versions 15 to 18). */
export function parseBootManager(text: string): BootManager {
  const current = /^BootCurrent: ([0-9A-F]{4})/im.exec(text)?.[1]?.toUpperCase()
  const order = /^BootOrder: ([0-9A-F,]+)/im.exec(text)?.[1]?.toUpperCase().split(',') ?? []
  const lines = [...text.matchAll(/^Boot([0-9A-F]{4})[* ] ?([^\t\n]*)(?:\t([^\n]*))?/gim)]
  const entries = lines.map(([, number = '', label = '', path = '']) => ({
    number: number.toUpperCase(),
    label: label.trimEnd(),
    isNetwork: /\bMAC\(/.test(path),
    ...parseHardDrivePath(path),
  }))
  return { order, entries, ...(current !== undefined && { current }) }
}

/** `HD(1,GPT,b1c5ebf6-…,0x800,0x20000)/File(\EFI\debian\grubx64.efi)`; with an MBR `HD(1,MBR,0x1a2b3c4d,…`. */
function parseHardDrivePath(path: string): { partUuid?: string; loader?: string } {
  const drive = /\bHD\((\d+),(GPT|MBR),([^,)]+)/i.exec(path)
  const loader = /\bFile\(([^)]*)\)/.exec(path)?.[1] ?? /\)\/(\\[^\t]*)/.exec(path)?.[1]
  if (!drive) return {}
  const [, number = '', table = '', signature = ''] = drive
  const id = signature.toLowerCase().replace(/^0x/, '')
  const isGpt = table.toUpperCase() === 'GPT'
  const partUuid = isGpt ? id : `${id.padStart(8, '0')}-${mbrNumber(number)}`
  return { partUuid, ...(loader !== undefined && { loader }) }
}

/** blkid writes the number of an MBR partition as two hexadecimal digits. */
function mbrNumber(number: string): string {
  return Number(number).toString(16).padStart(2, '0')
}

/**
 * Which entries of ours go: those whose partition is gone, and those for the target's ESP that are
 * not what is wanted (all of them, if nothing is). Those of other disks and of others stay.
 */
export function planEntries(
  { entries }: BootManager,
  target: { partUuids: ReadonlySet<string>; wanted?: WantedEntry },
  otherPartUuids: ReadonlySet<string>,
): EntryPlan {
  const { partUuids, wanted } = target
  const ours = entries.filter(({ label }) => OUR_LABEL.test(label))
  const keep = wanted && ours.find((entry) => isSame(entry, wanted))
  const isLeft = ({ number, partUuid }: BootEntry) =>
    number === keep?.number ||
    (partUuid !== undefined && otherPartUuids.has(partUuid) && !partUuids.has(partUuid))
  const remove = ours.filter((entry) => !isLeft(entry)).map(({ number }) => number)
  return { remove, ...(keep && { keep: keep.number }) }
}

function isSame(entry: BootEntry, wanted: WantedEntry): boolean {
  return (
    entry.label === wanted.label &&
    entry.partUuid === wanted.partUuid &&
    entry.loader?.toLowerCase() === wanted.loader.toLowerCase() // FAT ignores case
  )
}

/**
 * The boot order with `number` right after the entry that we booted from, so that the network stays
 * first. If that one is not in the order, after the last network entry, else in front.
 */
export function orderWith({ current, order, entries }: BootManager, number: string): string[] {
  const known = new Set(entries.map((entry) => entry.number))
  // efibootmgr refuses an order that names an entry which does not exist.
  const others = order.filter((other) => other !== number && known.has(other))
  const isNetwork = (other: string) =>
    entries.some((entry) => entry.number === other && entry.isNetwork)
  const booted = current === undefined ? -1 : others.indexOf(current)
  const at = booted >= 0 ? booted : others.findLastIndex(isNetwork)
  return others.toSpliced(at + 1, 0, number)
}
