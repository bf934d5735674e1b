import type { ImageInfo } from '#protocol/image/image-info.ts'
import { type LayoutSegment, placesOf } from '#protocol/disk/lvm-layout.ts'
import type { DiskContent } from '../export/disk-content.ts'
import { detectContent, type FileSystemKind, HEAD_BYTES, readableKind } from './file-system.ts'
import { ImageFileError } from './image-file-error.ts'
import { readSpan } from './partition-spool.ts'
import { readVolumes } from './read-volumes.ts'

/** A partition or logical volume that can be looked into. */
export interface ChosenPlace {
  partition: number
  /** `group/name`. */
  volume?: string
  layout: readonly LayoutSegment[]
  kind: FileSystemKind
}

export interface Choice extends ChosenPlace {
  /** All logical volumes there that can be looked into. */
  volumes: string[]
}

interface SeenPlace extends Omit<ChosenPlace, 'kind'> {
  sizeBytes: number
  content?: string | undefined
  kind?: FileSystemKind | undefined
  /** Why a volume is not looked into. */
  reason?: string
}

/** Where systems have their root, before those of firmware and other disks. */
const ROOT_KINDS: readonly (FileSystemKind | undefined)[] = ['ext', 'xfs', 'btrfs']

/** Where a file is looked for: where it is said, else in the root, else in the largest that can be read. */
export async function choosePlace(
  disk: DiskContent,
  {
    info,
    partition,
    volume,
  }: { info: ImageInfo; partition?: number | undefined; volume?: string | undefined },
): Promise<Choice> {
  const candidates = candidatesOf(disk, info, partition, volume)
  const seen: SeenPlace[] = []
  for (const candidate of candidates)
    seen.push(await look(disk, { partition: candidate.number, layout: linear(candidate) }))
  // A volume may lie on partitions that were not asked for.
  const members = seen.filter(({ content }) => content === 'LVM')
  const all =
    members.length === 0 || partition === undefined ? candidates : candidatesOf(disk, info)
  for (const { volumes, home } of members.length > 0 ? await readVolumes(disk, all) : [])
    for (const { name, layout, reason } of volumes) {
      if (!candidates.some(({ number }) => number === home)) continue
      const place = { partition: home, volume: name }
      if (layout) seen.push(await look(disk, { ...place, layout }))
      else seen.push({ ...place, layout: [], sizeBytes: 0, reason: reason ?? 'it is not known' })
    }

  const asked =
    volume ?? (partition === undefined ? info.rootVolume?.replace(/^\/dev\//, '') : undefined)
  const wanted = asked === undefined ? seen : seen.filter((place) => place.volume === asked)
  if (volume !== undefined && wanted.length === 0)
    throw new ImageFileError('no-such-partition', `There is no volume "${volume}" (${tell(seen)})`)
  const bySize = (wanted.length > 0 ? wanted : seen).toSorted((a, b) => b.sizeBytes - a.sizeBytes)
  const isRootKind = ({ kind }: SeenPlace) => kind !== undefined && ROOT_KINDS.includes(kind)
  const best = bySize.find(isRootKind) ?? bySize.find(({ kind }) => kind !== undefined)
  const volumes = seen.flatMap((place) => (place.kind && place.volume ? [place.volume] : []))
  if (best?.kind) return { ...best, kind: best.kind, volumes }
  throw new ImageFileError(
    'unreadable-file-system',
    `Only ext2 to ext4, XFS, btrfs, FAT and NTFS can be looked into, also in linear and striped logical volumes, ` +
      `and there is nothing of the kind (${tell(bySize)})`,
  )
}

interface Candidate {
  number: number
  startBytes: number
  sizeBytes: number
}

function candidatesOf(
  disk: DiskContent,
  info: ImageInfo,
  partition?: number,
  volume?: string,
): Candidate[] {
  const whole = { number: 0, startBytes: 0, sizeBytes: disk.sizeBytes }
  const all = info.partitions && info.partitions.length > 0 ? info.partitions : [whole]
  // A volume that is asked for may be on any.
  const wanted = partition ?? (volume === undefined ? info.rootPartition : undefined)
  if (wanted === undefined) return all
  const candidates = all.filter(({ number }) => number === wanted)
  if (candidates.length > 0) return candidates
  throw new ImageFileError(
    'no-such-partition',
    all[0] === whole
      ? `There is no partition ${wanted}: the disk has none, and is 0 as a whole`
      : `There is no partition ${wanted}; the image has ${all.length === 1 ? 'only partition' : 'partitions'} ${all.map(({ number }) => number).join(', ')}`,
  )
}

async function look(disk: DiskContent, placed: Omit<ChosenPlace, 'kind'>): Promise<SeenPlace> {
  const sizeBytes = placed.layout.reduce((sum, segment) => sum + segment.sizeBytes, 0)
  const parts: Uint8Array[] = []
  for (const { start, end } of placesOf(placed.layout, 0, Math.min(sizeBytes, HEAD_BYTES)))
    parts.push(await readSpan(disk, { startBytes: start, sizeBytes: end - start }))
  const content = detectContent(Buffer.concat(parts))
  return { ...placed, sizeBytes, content, kind: readableKind(content) }
}

function linear({ startBytes, sizeBytes }: Candidate): LayoutSegment[] {
  return [{ at: 0, sizeBytes, stripeBytes: sizeBytes, areas: [startBytes] }]
}

function tell(seen: readonly SeenPlace[]): string {
  return seen
    .map(({ partition, volume, content, reason }) => {
      const place = partition === 0 ? 'the disk itself' : `partition ${partition}`
      const name = volume === undefined ? place : `volume ${volume}`
      return `${name}: ${reason ?? content ?? 'nothing known'}`
    })
    .join(', ')
}
