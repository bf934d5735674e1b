import type { SystemContext } from './context.ts'
import { findRoots } from './find-root.ts'
import { checkKernelPartitions } from './kernel-partitions.ts'
import { isExtended, type Layout } from '#protocol/disk/disk-layout.ts'
import { LINUX_FILE_SYSTEMS } from '#protocol/disk/growth.ts'
import { readLayout } from './layout.ts'
import { findContent, type Content } from './probe.ts'
import { chooseRoot, type Candidate, type RootChoice } from './root-choice.ts'
import { VERITY_HASHES, hashedBytes, isFollowedByHashes } from './verity.ts'
import { openVolumes, type Volumes } from './volumes.ts'

/** The target disk with its volumes active; nothing is mounted. */
export interface Target extends AsyncDisposable {
  readonly layout: Layout
  readonly volumes: Volumes
  /** All file systems of the disk. */
  readonly candidates: readonly Candidate[]
  readonly choice: RootChoice
}

export async function openTarget(context: SystemContext): Promise<Target> {
  const { exec, disk, log, warn } = context
  await using opened = new AsyncDisposableStack()
  const layout = await readLayout(exec, disk.path)
  await checkKernelPartitions(layout)
  const contents = await probe(context, layout)
  const pvPaths = contents.filter(({ type }) => type === 'LVM2_member').map(({ path }) => path)
  const volumes = opened.use(await openVolumes(exec, pvPaths, warn))

  const candidates = contents.map(toCandidate)
  for (const { group, name, path, segmentType } of volumes.volumes) {
    const content = await findContent(exec, path)
    const volume = { group, name, segmentType }
    if (content) candidates.push({ ...toCandidate({ ...content, path }), volume })
  }
  const hashed = await findHashed(candidates, layout)
  // XFS writes to its log even where it is mounted read-only.
  const roots = await findRoots(exec, candidates, log, hashed.size > 0 ? 'look' : 'ro')
  const choice = withoutHashed(chooseRoot(roots, context.run.image?.info), hashed)
  if (choice.kind === 'unclear' && contents.some(({ type }) => type === 'crypto_LUKS')) {
    choice.reason += '; an encrypted one (LUKS) cannot be looked into'
    choice.isNone = false
  }

  const resources = opened.move()
  const dispose = () => resources.disposeAsync()
  return { layout, volumes, candidates, choice, [Symbol.asyncDispose]: dispose }
}

type Found = Content & { path: string; partition?: number }

/** Of what on the disk there are hashes for dm-verity, by its path, and where: as a reason. */
async function findHashed(
  candidates: readonly Candidate[],
  { partitions, sectorBytes }: Layout,
): Promise<Map<string, string>> {
  const hashed = new Map<string, string>()
  for (const { path, fileSystem } of candidates)
    if (fileSystem === VERITY_HASHES) {
      const bytes = await hashedBytes(path)
      for (const other of partitions.filter((one) => one.sizeSectors * sectorBytes === bytes))
        hashed.set(other.path, `${path} has hashes of ${other.path} (dm-verity)`)
    } else if (LINUX_FILE_SYSTEMS.has(fileSystem) && (await isFollowedByHashes(path, fileSystem)))
      hashed.set(path, `Hashes of ${path} lie behind its file system (dm-verity)`)
  return hashed
}

/** A system that goes by hashes of its root does not start once the root was changed. */
function withoutHashed(choice: RootChoice, hashed: ReadonlyMap<string, string>): RootChoice {
  const reason = choice.kind === 'found' ? hashed.get(choice.root.path) : undefined
  return reason === undefined ? choice : { kind: 'unclear', reason }
}

/** What the partitions hold, or the disk itself if it has no table. */
async function probe({ exec, disk }: SystemContext, layout: Layout): Promise<Found[]> {
  const found: Found[] = []
  if (layout.table === 'none') {
    const content = await findContent(exec, disk.path)
    return content ? [{ ...content, path: disk.path }] : []
  }
  for (const partition of layout.partitions) {
    if (isExtended(layout, partition)) continue
    const content = await findContent(exec, partition.path)
    const { path, number } = partition
    if (content) found.push({ ...content, path, partition: number })
  }
  return found
}

function toCandidate({ type, ...rest }: Found): Candidate {
  return { ...rest, fileSystem: type }
}
