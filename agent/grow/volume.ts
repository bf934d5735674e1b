import type { Volume, Volumes } from '../system/volumes.ts'

/** Segment types that simply get longer; a thin or RAID volume needs an operator's plan. */
const GROWABLE_SEGMENTS = new Set(['linear', 'striped'])

export type GrowableVolume = Pick<Volume, 'group' | 'name' | 'segmentType'>

export function whyNotGrowable({ group, name, segmentType }: GrowableVolume): string | undefined {
  if (GROWABLE_SEGMENTS.has(segmentType)) return undefined
  return `Volume ${group}/${name} is of the type "${segmentType}", which is left alone`
}

/** Gives all free space of the group to the volume, after its physical volume has grown. */
export async function growVolume(
  { lvm }: Volumes,
  { group, name }: GrowableVolume,
  pvPath: string,
): Promise<void> {
  await lvm('pvresize', [pvPath])
  const fields = ['--noheadings', '-o', 'vg_free_count', group]
  const freeExtents = Number(await lvm('vgs', fields))
  if (freeExtents > 0) await lvm('lvextend', ['--extents', '+100%FREE', `${group}/${name}`])
}
