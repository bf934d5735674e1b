import { LvmDecodeError } from './lvm-label.ts'
import { parseLvmConfig, type LvmSection, type LvmValue } from './lvm-config.ts'

/** A volume group as its text describes it, in bytes. */
export interface LvmGroup {
  id: string
  name: string
  /** Grows with each change. */
  sequence: number
  physicalVolumes: LvmPhysicalVolume[]
  volumes: LvmVolume[]
}

export interface LvmPhysicalVolume {
  /** As its label has it, without dashes. */
  id: string
  isMissing: boolean
  /** Of its first extent. */
  startBytes: number
  endBytes: number
  /** Parts of it that belong to a volume, in ascending order. */
  taken: { start: number; end: number }[]
}

export interface LvmVolume {
  name: string
  /** Linear or striped, and nothing else is made of it; else `reason` says what it is. */
  segments?: LvmSegment[]
  reason?: string
}

export interface LvmSegment {
  at: number
  sizeBytes: number
  stripeBytes: number
  areas: { physicalVolume: string; start: number }[]
}

/** Of LVM's text, on every disk. */
const SECTOR_BYTES = 512
/** What a volume may be besides and still be nothing but its bytes. */
const PLAIN_STATUS = new Set(['READ', 'WRITE', 'VISIBLE', 'FIXED_MINOR'])
const PLAIN_TYPES = new Set(['striped', 'linear'])

interface Draft {
  name: string
  status: readonly (string | number)[]
  segments: LvmSection[]
}

/** The group that a text describes. Throws LvmDecodeError where it contradicts itself. */
export function parseLvmGroup(text: string): LvmGroup {
  const found = [...parseLvmConfig(text)].filter(([, value]) => value instanceof Map)
  if (found.length !== 1)
    throw new LvmDecodeError(`The LVM metadata describes ${found.length} volume groups`)
  const [name, section] = found[0] as [string, LvmSection]
  const extentBytes = numberOf(section, 'extent_size') * SECTOR_BYTES
  const volumes = sectionsOf(section, 'physical_volumes')
  const physical = new Map(
    volumes.map(([key, volume]) => [key, physicalVolumeOf(volume, extentBytes)]),
  )
  const drafts = sectionsOf(section, 'logical_volumes').map(([key, volume]) => draftOf(key, volume))
  const partOf = findParts(drafts, physical)
  const placed = drafts.map((draft) => ({
    draft,
    segments: draft.segments
      .filter((segment) => PLAIN_TYPES.has(textOf(segment, 'type')))
      .map((segment) => segmentOf(segment, physical, extentBytes)),
  }))
  return {
    id: textOf(section, 'id'),
    name,
    sequence: numberOf(section, 'seqno'),
    physicalVolumes: [...physical.values()].map(checked),
    volumes: placed
      .filter(({ draft }) => draft.status.includes('VISIBLE'))
      .map(({ draft, segments }) => volumeOf(draft, segments, partOf.get(draft.name))),
  }
}

function physicalVolumeOf(volume: LvmSection, extentBytes: number): LvmPhysicalVolume {
  const startBytes = numberOf(volume, 'pe_start') * SECTOR_BYTES
  return {
    id: textOf(volume, 'id').replaceAll('-', ''),
    isMissing: listOf(volume, 'flags').includes('MISSING'),
    startBytes,
    endBytes: startBytes + numberOf(volume, 'pe_count') * extentBytes,
    taken: [],
  }
}

function checked(volume: LvmPhysicalVolume): LvmPhysicalVolume {
  const taken = volume.taken.toSorted((one, other) => one.start - other.start)
  for (const [index, { start, end }] of taken.entries())
    if (start < (taken[index - 1]?.end ?? volume.startBytes) || end > volume.endBytes)
      throw new LvmDecodeError(`The LVM metadata has two volumes, or none, at byte ${start}`)
  return { ...volume, taken }
}

function draftOf(name: string, volume: LvmSection): Draft {
  const segments = [...volume.values()].filter((value) => value instanceof Map)
  if (segments.length !== numberOf(volume, 'segment_count'))
    throw new LvmDecodeError(`The LVM metadata lacks segments of volume "${name}"`)
  return { name, status: listOf(volume, 'status'), segments }
}

/** Volumes that others are made of, such as snapshots and pools, and of which type those are. */
function findParts(
  drafts: readonly Draft[],
  physical: ReadonlyMap<string, unknown>,
): Map<string, string> {
  const names = new Set(drafts.map(({ name }) => name))
  const partOf = new Map<string, string>()
  for (const { name, segments } of drafts)
    for (const segment of segments)
      for (const [key, value] of segment) {
        if (key === 'type') continue
        const isPlain = PLAIN_TYPES.has(textOf(segment, 'type'))
        for (const word of wordsOf(value)) {
          if (Array.isArray(value) && physical.has(word)) {
            if (isPlain && key === 'stripes') continue
            throw new LvmDecodeError(`Volume "${name}" is just being moved, or an old mirror`)
          }
          if (word !== name && names.has(word)) partOf.set(word, textOf(segment, 'type'))
        }
      }
  return partOf
}

function wordsOf(value: LvmValue): string[] {
  if (typeof value === 'string') return [value]
  if (value instanceof Map) return [...value.values()].flatMap(wordsOf)
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

/** Notes what it takes of each physical volume, too. */
function segmentOf(
  segment: LvmSection,
  physical: ReadonlyMap<string, LvmPhysicalVolume>,
  extentBytes: number,
): LvmSegment | undefined {
  const stripes = listOf(segment, 'stripes')
  const count = stripes.length / 2
  const sizeBytes = numberOf(segment, 'extent_count') * extentBytes
  const isStriped = count > 1
  const stripeBytes = isStriped ? numberOf(segment, 'stripe_size') * SECTOR_BYTES : sizeBytes
  const areaBytes = sizeBytes / count
  const areas: LvmSegment['areas'] = []
  if (!Number.isSafeInteger(areaBytes) || !(stripeBytes > 0) || areaBytes % stripeBytes !== 0)
    throw new LvmDecodeError(`The LVM metadata has a segment of ${stripes.length / 2} stripes`)
  for (let at = 0; at < stripes.length; at += 2) {
    const volume = physical.get(String(stripes[at]))
    if (!volume) return undefined // on another volume
    const start = volume.startBytes + Number(stripes[at + 1]) * extentBytes
    if (!Number.isSafeInteger(start)) throw new LvmDecodeError('The LVM metadata lacks a place')
    volume.taken.push({ start, end: start + areaBytes })
    areas.push({ physicalVolume: volume.id, start })
  }
  return { at: numberOf(segment, 'start_extent') * extentBytes, sizeBytes, stripeBytes, areas }
}

function volumeOf(
  { name, status, segments: sections }: Draft,
  placed: readonly (LvmSegment | undefined)[],
  wholeType: string | undefined,
): LvmVolume {
  const type = sections.map((each) => textOf(each, 'type')).find((each) => !PLAIN_TYPES.has(each))
  if (type !== undefined) return { name, reason: `it is of type "${type}"` }
  if (wholeType !== undefined)
    return { name, reason: `it is part of a volume of type "${wholeType}"` }
  const odd = status.find((word) => !PLAIN_STATUS.has(String(word)))
  if (odd !== undefined) return { name, reason: `its status is "${odd}"` }
  const segments = placed.filter((each) => each !== undefined).toSorted((a, b) => a.at - b.at)
  if (segments.length !== placed.length) return { name, reason: 'it lies on another volume' }
  let end = 0
  for (const { at, sizeBytes } of segments) {
    if (at !== end) throw new LvmDecodeError(`Volume "${name}" has a gap at byte ${end}`)
    end += sizeBytes
  }
  return { name, segments }
}

function sectionsOf(section: LvmSection, name: string): [string, LvmSection][] {
  const found = section.get(name)
  if (!(found instanceof Map)) return []
  return [...found].filter((entry): entry is [string, LvmSection] => entry[1] instanceof Map)
}

function listOf(section: LvmSection, name: string): readonly (string | number)[] {
  const value = section.get(name)
  return Array.isArray(value) ? value : []
}

function textOf(section: LvmSection, name: string): string {
  const value = section.get(name)
  if (typeof value !== 'string') throw new LvmDecodeError(`The LVM metadata tells no ${name}`)
  return value
}

function numberOf(section: LvmSection, name: string): number {
  const value = section.get(name)
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new LvmDecodeError(`The LVM metadata tells no ${name}`)
  return value
}
