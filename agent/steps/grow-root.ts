import { planGrowth, type GrowthPlan } from '#protocol/disk/growth.ts'
import { growFileSystem, whyFileSystemStays } from '../grow/file-system.ts'
import {
  deviceBytes,
  flushDevice,
  moveBackupGpt,
  resizePartitions,
} from '../grow/partition-table.ts'
import { growVolume, whyNotGrowable } from '../grow/volume.ts'
import type { Exec } from '../exec.ts'
import type { SystemContext } from '../system/context.ts'
import { findWindows } from '../system/find-windows.ts'
import { findRaidMember } from '../system/probe.ts'
import { nameOf, type Root, type RootChoice } from '../system/root-choice.ts'
import { openTarget, type Target } from '../system/target.ts'
import type { StepContext, StepOutcome } from './step.ts'

export type GrowthContext = SystemContext & { readonly run: Pick<StepContext['run'], 'options'> }

/**
 * Grows the root of a Linux, or a Windows, to the end of the disk: backup GPT, partition, physical and
 * logical volume, file system. What can't be told for sure is left alone with a warning; what is full already is fine.
 */
export async function growRoot(context: GrowthContext): Promise<StepOutcome> {
  const { exec, disk, warn, run } = context
  if (!run.options.grow)
    return { state: 'skipped', message: 'The run leaves the root as large as it is in the image' }
  await using stack = new AsyncDisposableStack()
  stack.defer(() => flushDevice(disk.path))
  const target = stack.use(await openTarget(context))
  const leaveAlone = (reason: string): StepOutcome => {
    warn(`The root was not grown: ${reason}`)
    return { state: 'skipped', message: reason }
  }

  const choice = await chooseGrown(exec, target)
  // The array that its partitions are of ends before the disk does.
  const raid = await findRaidMember(exec, disk.path)
  if (raid !== undefined)
    return leaveAlone(
      `${disk.path} is a member of a RAID (${raid}), which may keep its own at the end`,
    )
  const isGpt = target.layout.table === 'gpt'
  const layout = isGpt ? await moveBackupGpt(exec, disk.path) : target.layout
  if (choice.kind === 'unclear') return leaveAlone(choice.reason)
  const { root } = choice
  const reason =
    (root.volume && whyNotGrowable(root.volume)) ?? (await whyFileSystemStays(exec, root))
  if (reason) return leaveAlone(reason)

  const pvPath = root.volume && lastPvPath(target, root)
  const number = partitionNumber(target, pvPath ?? root.path)
  if (number !== undefined) {
    const plan = planGrowth(layout, number, await deviceBytes(exec, disk.path))
    if (plan.kind === 'blocked') return leaveAlone(plan.reason)
    await growPartition(context, plan)
  }
  if (root.volume && pvPath) await growVolume(target.volumes, root.volume, pvPath)
  const { beforeBytes, afterBytes, refusal } = await growFileSystem(exec, root)
  if (refusal !== undefined) return leaveAlone(refusal)
  const size = `${gib(beforeBytes)} to ${gib(afterBytes)} GiB`
  const isSame = beforeBytes === afterBytes
  const message = isSame
    ? `${nameOf(root)} has its full size already, ${gib(afterBytes)} GiB`
    : `${nameOf(root)} grew from ${size}`
  context.log(message)
  return { state: 'succeeded', message }
}

/** Of a disk without a Linux, its one Windows. */
async function chooseGrown(exec: Exec, { choice, candidates }: Target): Promise<RootChoice> {
  if (choice.kind === 'found' || !choice.isNone) return choice
  const found = await findWindows(exec, candidates)
  const [root, ...others] = found
  if (!root) {
    const isEncrypted = candidates.some(({ fileSystem }) => fileSystem === 'BitLocker')
    const hint = isEncrypted ? '; an encrypted one (BitLocker) cannot be looked into' : ''
    return { kind: 'unclear', reason: `No Linux and no Windows was found on the disk${hint}` }
  }
  if (others.length === 0) return { kind: 'found', root }
  const paths = found.map((each) => nameOf(each)).join(' and ')
  return { kind: 'unclear', reason: `${found.length} Windows were found: ${paths}` }
}

async function growPartition(context: SystemContext, plan: GrowthPlan): Promise<void> {
  const { exec, disk, log, warn } = context
  if (plan.kind === 'blocked') return
  if (plan.limit) warn(plan.limit)
  if (plan.kind === 'full') return log('The partition reaches the end of the disk already')
  await resizePartitions(exec, disk.path, plan.changes)
}

/** Of a group on several partitions, the one nearest to the end of the disk can grow. */
function lastPvPath({ layout, volumes }: Target, root: Root): string | undefined {
  const group = volumes.groups.find(({ name }) => name === root.volume?.group)
  const inOrder = layout.partitions.map(({ path }) => path)
  return group?.pvPaths.toSorted((one, two) => inOrder.indexOf(one) - inOrder.indexOf(two)).at(-1)
}

function partitionNumber({ layout }: Target, path: string): number | undefined {
  return layout.partitions.find((partition) => partition.path === path)?.number
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(2)
}
