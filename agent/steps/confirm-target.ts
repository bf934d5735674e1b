import { chooseDisk, describeDisk } from '#protocol/machine/disk-choice.ts'
import { expectTarget, targetDifferences, targetMismatch } from '#protocol/run/expected-target.ts'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { readDiskAt, readDisks } from '../inventory/disks.ts'
import { RefusedError } from './check-machine.ts'
import type { StepContext } from './step.ts'

/**
 * The last look before the first write: reads the disk once more and compares it with the plan, or, without
 * one, with what was read before. Between that and this a server may have been waited for, or somebody have
 * thought about a question for an hour; disks can be swapped while a machine runs, and a stick that was
 * unplugged gives its path to the next. The only disk that fitted may also have got company: controllers and
 * disk shelves start at their own pace. Throws RefusedError.
 */
export async function confirmTarget(
  { run, disk, exec, log }: Pick<StepContext, 'run' | 'disk' | 'exec' | 'log'>,
  readAll = readDisks,
): Promise<void> {
  const hints = run.options.disk
  const found = await readDiskAt(exec, disk.path)
  if (run.expected) refuse(targetMismatch(run.expected, found))
  else {
    refuse(changeOf(disk, found))
    // A path can mean no other disk.
    if (hints?.path === undefined) refuse(rivalOf(disk, await readAll(exec), hints))
  }
  log(`Disk ${disk.path} is ${run.expected ? 'as planned' : 'as it was when it was looked at'}`)
}

function changeOf(disk: Disk, found: Disk): string | undefined {
  if (targetDifferences(expectTarget(disk), found).length === 0) return undefined
  return (
    `Disk ${describeDisk(disk)} was changed since it was looked at, so nothing was written: ` +
    `now it is ${describeDisk(found)}, or holds something else. Look which disk it is, and try again`
  )
}

function rivalOf(disk: Disk, disks: readonly Disk[], hints?: DiskHints): string | undefined {
  const choice = chooseDisk(disks, hints)
  if (choice.kind === 'chosen' && choice.disk.path === disk.path) return undefined
  const found =
    choice.kind === 'refused' ? choice.reason : `Now ${describeDisk(choice.disk)} fits instead`
  return `The disks of this machine changed since they were looked at, so nothing was written. ${found}`
}

function refuse(why: string | undefined): void {
  if (why !== undefined) throw new RefusedError(why)
}
