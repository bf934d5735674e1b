import { setTimeout as sleep } from 'node:timers/promises'
import { isCandidate } from '#protocol/machine/disk-choice.ts'
import type { Disk } from '#protocol/machine/inventory.ts'

const ATTEMPTS = 10
const PAUSE_MILLISECONDS = 1000

interface Waiting {
  signal: AbortSignal
  say: (text: string) => void
  pauseMilliseconds?: number
}

/**
 * Waits some seconds for a first disk that a run could take without a name for it. A driver may be done long before
 * its controller has found what is behind it, and the run of a machine that tells of no disk would fail.
 */
export async function awaitDisks(
  readDisks: () => Promise<readonly Disk[]>,
  { signal, say, pauseMilliseconds = PAUSE_MILLISECONDS }: Waiting,
): Promise<void> {
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    if ((await readDisks()).some((disk) => isCandidate(disk))) return
    if (attempt === 1) say(`No disk has appeared yet; waiting for one, up to ${ATTEMPTS} s`)
    await sleep(pauseMilliseconds, undefined, { signal })
  }
}
