import { describeDisk } from '#protocol/disk-choice.ts'
import { expectTarget, targetDifferences, targetMismatch } from '#protocol/expected-target.ts'
import { readDiskAt } from '../inventory/disks.ts'
import { RefusedError } from './check-machine.ts'
import type { StepContext } from './step.ts'

type Confirmed = Pick<StepContext, 'run' | 'disk' | 'exec' | 'log'>

/**
 * The last look before the first write: reads the disk once more and compares it with the plan, if
 * the run has one. Some time passes between the inventory and this, and disks can be swapped while a
 * machine runs. Throws RefusedError.
 */
export async function confirmTarget({ run, disk, exec, log }: Confirmed): Promise<void> {
  if (!run.expected) return
  const found = await readDiskAt(exec, disk.path)
  const mismatch = targetMismatch(run.expected, found)
  if (mismatch !== undefined) throw new RefusedError(mismatch)
  log(`Disk ${disk.path} is as planned`)
}

/**
 * The same for a disk that somebody was shown, and may have thought about for an hour: a stick that was
 * unplugged gives its path to the next. Throws RefusedError.
 */
export async function confirmShown({ disk, exec }: Confirmed): Promise<void> {
  const found = await readDiskAt(exec, disk.path)
  if (targetDifferences(expectTarget(disk), found).length === 0) return
  throw new RefusedError(
    `Disk ${describeDisk(disk)} was changed since it was looked at, so nothing was written: ` +
      `now it is ${describeDisk(found)}, or holds something else. Look which disk it is, and try again`,
  )
}
