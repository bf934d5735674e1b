import { LINUX_FILE_SYSTEMS } from '#protocol/disk/growth.ts'
import type { Exec } from '../exec.ts'
import { openMount } from './mount.ts'
import type { Candidate, Root } from './root-choice.ts'
import { createSystemFiles, type SystemFiles } from './system-files.ts'

/** Where installers put a root in a btrfs whose default subvolume is still the top one. */
const MAX_SUBVOLUMES = 32

/** The candidates that hold a root. Each is mounted read-only for a look and let go again. */
export async function findRoots(
  exec: Exec,
  candidates: readonly Candidate[],
  log: (text: string) => void,
  mode: 'ro' | 'look' = 'ro',
): Promise<Root[]> {
  const roots: Root[] = []
  for (const candidate of candidates) {
    if (!LINUX_FILE_SYSTEMS.has(candidate.fileSystem)) continue
    try {
      roots.push(...(await rootsIn(exec, candidate, mode)))
    } catch (err) {
      // A damaged or too new file system beside the root need not stop anything.
      log(`Can't look into ${candidate.path} (${candidate.fileSystem}): ${String(err)}`)
    }
  }
  return roots
}

async function rootsIn(exec: Exec, candidate: Candidate, mode: 'ro' | 'look'): Promise<Root[]> {
  const { path: device, fileSystem } = candidate
  const isBtrfs = fileSystem === 'btrfs'
  {
    await using mount = await openMount(exec, { device, fileSystem, mode })
    if (await isRoot(createSystemFiles(mount.path))) return [candidate]
  }
  if (!isBtrfs) return []
  const options = ['subvolid=5']
  await using mount = await openMount(exec, { device, fileSystem, mode, options })
  const files = createSystemFiles(mount.path)
  const roots: Root[] = []
  for (const name of (await files.list('/')).slice(0, MAX_SUBVOLUMES)) {
    // A link would lead out of the image, a comma would be one more mount option.
    const isLink = (await files.linkTarget(name)) !== undefined
    if (isLink || name.includes(',')) continue
    if (await isRoot(createSystemFiles(`${mount.path}/${name}`)))
      roots.push({ ...candidate, subvolume: `subvol=${name}` })
  }
  return roots
}

/** os-release(5) is in every distribution of today; fstab with programs beside it in older ones. */
async function isRoot(files: SystemFiles): Promise<boolean> {
  if ((await files.kind('/etc')) !== 'folder') return false
  const etc = await files.list('/etc')
  if (etc.includes('os-release')) return true
  if (!etc.includes('fstab')) return false
  return (await files.kind('/sbin')) === 'folder' || (await files.kind('/usr/lib')) === 'folder'
}
