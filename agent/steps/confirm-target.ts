import { describeDisk } from '#protocol/machine/disk-choice.ts'
import { expectTarget, targetDifferences, targetMismatch } from '#protocol/run/expected-target.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { readDiskAt } from '../inventory/disks.ts'
import { RefusedError } from './check-machine.ts'
import type { StepContext } from './step.ts'

/**
 * The last look before the first write: reads the disk once more and compares it with the plan, or, without
 * one, with what was read before. Between that and this a server may have been waited for, or somebody have
 * thought about a question for an hour; disks can be swapped while a machine runs, and a stick that was
 * unplugged gives its path to the next. Throws RefusedError.
 */
export async function confirmTarget({
  run,
  disk,
  exec,
  log,
}: Pick<StepContext, 'run' | 'disk' | 'exec' | 'log'>): Promise<void> {
  const found = await readDiskAt(exec, disk.path)
  const mismatch = run.expected ? targetMismatch(run.expected, found) : changeOf(disk, found)
  if (mismatch !== undefined) throw new RefusedError(mismatch)
  log(`Disk ${disk.path} is ${run.expected ? 'as planned' : 'as it was when it was looked at'}`)
}

function changeOf(disk: Disk, found: Disk): string | undefined {
  if (targetDifferences(expectTarget(disk), found).length === 0) return undefined
  return (
    `Disk ${describeDisk(disk)} was changed since it was looked at, so nothing was written: ` +
    `now it is ${describeDisk(found)}, or holds something else. Look which disk it is, and try again`
  )
}
