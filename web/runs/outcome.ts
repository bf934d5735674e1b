import type { Run } from '#protocol/run/run.ts'

/** What a run that is over means for the disk, and what an operator does next. */

export type DiskOutcome =
  | 'untouched'
  /** Compared, and nothing was written. */
  | 'same'
  | 'differs'
  /** Image written and verified; every later step was done too. */
  | 'deployed'
  /** The image went out whole; whether it is on the disk nobody can tell. */
  | 'delivered'
  /** Written and verified, but a later step failed: it boots the image as it is. */
  | 'unmodified-image'
  /** Its ends are zeroed: neither the old system nor the new one boots. */
  | 'unbootable'
  | 'wiped'
  | 'unknown'

export interface Advice {
  disk: DiskOutcome
  /** One sentence on the state of the disk. */
  sentence: string
  /** What to do now, most promising first. */
  next: string[]
}

export function adviceOf(run: Run): Advice {
  const disk = diskOutcome(run)
  return { disk, sentence: DISK_SENTENCES[disk], next: nextSteps(run, disk) }
}

export function diskOutcome(run: Run): DiskOutcome {
  if (run.workflow === 'verify' && run.receipt?.comparison)
    return run.receipt.comparison.matches ? 'same' : 'differs'
  if (run.workflow === 'verify' || run.workflow === 'capture' || run.workflow === 'inventory')
    return 'untouched'
  if (run.receipt?.delivered && !run.receipt.imageVerified) return 'delivered'
  if (run.state === 'succeeded') return run.workflow === 'wipe' ? 'wiped' : 'deployed'
  if (run.receipt?.imageVerified) return 'unmodified-image'
  if (run.claimedBy === 'booty') return run.startedAt === null ? 'untouched' : 'unknown'
  const check = run.steps.find(({ name }) => name === 'check-machine')
  if (run.startedAt === null || check?.state !== 'succeeded') {
    // An earlier attempt may have come further than the last one.
    return run.attempts > 1 ? 'unknown' : 'untouched'
  }
  const writing = run.steps.find(({ name }) => name === 'write-image' || name === 'wipe-disk')
  if (writing?.startedAt === undefined) return run.attempts > 1 ? 'unknown' : 'untouched'
  return 'unbootable'
}

const DISK_SENTENCES: Record<DiskOutcome, string> = {
  untouched: 'Nothing was written to the disk.',
  same: 'The disk holds the image; nothing was written to it.',
  differs: 'Nothing was written to the disk.',
  deployed: 'The disk holds the image; every byte of it was read back and is right.',
  delivered: 'The image was delivered whole, but not verified: this client does not read it back.',
  'unmodified-image':
    'The image is on the disk and verified, but a later step failed: the disk boots the image as it was captured.',
  unbootable:
    'The disk does not boot: its first and last 4 MiB were zeroed before the write, and the write was not finished.',
  wiped: 'The disk was wiped.',
  unknown: 'Whether anything was written to the disk is not known; an earlier attempt may have.',
}

function nextSteps(run: Run, disk: DiskOutcome): string[] {
  if (run.state === 'succeeded') return []
  if (disk === 'differs')
    return [
      ...(run.receipt?.comparison?.chunksUnreadable
        ? ['The disk cannot read all of itself: look at its health, and replace it.']
        : []),
      'If the machine was started since it was deployed, expect changes in its file systems.',
      'If it was not, look at the disk and its cables, and deploy the image again.',
    ]
  const isPlanned = run.workflow !== 'inventory' && run.workflow !== 'verify'
  const again = !isPlanned ? 'Start the run again' : 'Retry: make a new plan'
  if (run.state === 'cancelled') return [`${again} when you are ready.`]
  if (run.state === 'timed-out' && run.startedAt === null) {
    return [
      'Look at the console of the machine: the kernel or the network driver may have failed.',
      'Check that the machine still boots from its network card.',
      `${again}.`,
    ]
  }
  if (run.state === 'timed-out')
    return [
      'Look at the console of the machine, and whether it has power and network.',
      `${again}.`,
    ]
  if (disk === 'untouched')
    return [
      'Compare what the error says with the machine; its inventory is as of this boot.',
      `${again}, which reads the disk as it is now.`,
    ]
  if (disk === 'unmodified-image')
    return ['Boot the disk as it is, or correct what the failed step says.', `${again}.`]
  return [
    'Read the end of the log: cables, disk and network are the usual causes.',
    run.workflow === 'deploy'
      ? `${again}; what the disk holds of the image by then is not fetched again.`
      : `${again}.`,
  ]
}
