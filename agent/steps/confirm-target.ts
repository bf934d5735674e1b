import { targetMismatch } from '#protocol/expected-target.ts'
import { readDiskAt } from '../inventory/disks.ts'
import { RefusedError } from './check-machine.ts'
import type { StepContext } from './step.ts'

/**
 * The last look before the first write: reads the disk once more and compares it with the plan, if
 * the run has one. Some time passes between the inventory and this, and disks can be swapped while a
 * machine runs. Throws RefusedError.
 */
export async function confirmTarget({
  run,
  disk,
  exec,
  log,
}: Pick<StepContext, 'run' | 'disk' | 'exec' | 'log'>): Promise<void> {
  if (!run.expected) return
  const found = await readDiskAt(exec, disk.path)
  const mismatch = targetMismatch(run.expected, found)
  if (mismatch !== undefined) throw new RefusedError(mismatch)
  log(`Disk ${disk.path} is as planned`)
}
