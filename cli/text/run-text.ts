import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { silenceOf } from '#protocol/run/run-silence.ts'
import { FINAL_RUN_STATES, type DiskComparison, type Run, type Step } from '#protocol/run/run.ts'
import { localTime, printable } from './text.ts'

export function isOver({ state }: Pick<Run, 'state'>): boolean {
  return (FINAL_RUN_STATES as readonly string[]).includes(state)
}

export function currentStep(run: Run): Step | undefined {
  return run.steps.find(({ state }) => state === 'running')
}

/** What there is to say of a run whose agent says nothing. */
export function silenceText(run: Run, now: Date): string | undefined {
  const silence = silenceOf(run, now)
  if (!silence) return undefined
  const { since, timesOutAt } = silence
  const end = timesOutAt ? `fails at ${localTime(timesOutAt.toISOString())}` : 'is about to fail'
  return `no report since ${localTime(since.toISOString())}: the agent waits for the server or is gone; ${end}`
}

export function verdictOf({ state, error }: Run): string {
  const reason = error === null ? '' : `: ${printable(error)}`
  return `${state === 'timed-out' ? 'timed out' : state === 'cancelled' ? 'was cancelled' : state}${reason}`
}

/** `image "debian-13", 0.2 GB written, 1.0 GB there already, every byte verified` */
export function receiptSummary({ receipt }: Run): string {
  if (!receipt) return ''
  const { imageName, bytesWritten, bytesSkipped, bytesSent, imageVerified, comparison } = receipt
  return [
    imageName && `image "${printable(imageName)}"`,
    comparison && comparedText(comparison),
    bytesWritten !== undefined && `${formatBytes(bytesWritten)} written`,
    bytesSkipped && `${formatBytes(bytesSkipped)} there already`,
    bytesSent !== undefined && `${formatBytes(bytesSent)} sent`,
    imageVerified && 'every byte verified',
  ]
    .filter(Boolean)
    .join(', ')
}

function comparedText({ matches, chunksCompared, chunksDiffering }: DiskComparison): string {
  if (matches) return `${chunksCompared} MiB compared, all the same`
  return `${chunksDiffering} of ${chunksCompared} MiB differ`
}
