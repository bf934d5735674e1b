import type { Candidate } from './root-choice.ts'

/** Folders of their own file system that hold files which an identity consists of. */
const WANTED = ['/usr', '/var', '/var/lib']

export type SystemMount = { candidate: Candidate; folder: string; options: string[] }

/**
 * What fstab(5) mounts below the root that we need, parents first, found among the file systems of
 * the target alone. `missing` are those that lie elsewhere.
 */
export function planMounts(
  fstab: string,
  candidates: readonly Candidate[],
): { mounts: SystemMount[]; missing: string[] } {
  const mounts: SystemMount[] = []
  const missing: string[] = []
  const lines = fstab.split('\n').map((line) => line.trim())
  for (const line of lines.filter((text) => text && !text.startsWith('#'))) {
    const [source = '', folder = '', , options = ''] = line.split(/\s+/)
    if (!WANTED.includes(folder)) continue
    const candidate = candidates.find((one) => isNamed(one, source.replaceAll('"', '')))
    const subvolume = options.split(',').filter((option) => /^subvol(id)?=/.test(option))
    if (candidate) mounts.push({ candidate, folder, options: subvolume })
    else missing.push(`${folder} (${source})`)
  }
  const byDepth = mounts.toSorted((one, other) => one.folder.length - other.folder.length)
  return { mounts: byDepth, missing }
}

function isNamed(candidate: Candidate, source: string): boolean {
  const { path, uuid, label, partUuid, volume } = candidate
  const same = (one: string | undefined, other: string) =>
    one !== undefined && one.toLowerCase() === other.toLowerCase()
  const at = source.indexOf('=')
  const value = source.slice(at + 1)
  switch (source.slice(0, Math.max(at, 0))) {
    case 'UUID':
      return same(uuid, value)
    case 'PARTUUID':
      return same(partUuid, value)
    case 'LABEL':
      return label === value
  }
  if (source.startsWith('/dev/disk/by-uuid/')) return same(uuid, source.slice(18))
  if (!volume) return source === path
  const mapped = `${double(volume.group)}-${double(volume.name)}`
  return source === `/dev/mapper/${mapped}` || source === `/dev/${volume.group}/${volume.name}`
}

/** Device-mapper doubles the dashes within a name. */
function double(name: string): string {
  return name.replaceAll('-', '--')
}
