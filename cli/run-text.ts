import { formatBytes } from '#protocol/disk-choice.ts'
import { FINAL_RUN_STATES, type Run, type Step } from '#protocol/run.ts'
import { printable } from './text.ts'

export function isOver({ state }: Pick<Run, 'state'>): boolean {
  return (FINAL_RUN_STATES as readonly string[]).includes(state)
}

export function currentStep(run: Run): Step | undefined {
  return run.steps.find(({ state }) => state === 'running')
}

export function verdictOf({ state, error }: Run): string {
  const reason = error === null ? '' : `: ${printable(error)}`
  return `${state === 'timed-out' ? 'took too long' : state === 'cancelled' ? 'was cancelled' : state}${reason}`
}

/** `image "debian-13", 1.2 GB written, verified` */
export function receiptSummary({ receipt }: Run): string {
  if (!receipt) return ''
  const { imageName, bytesWritten, bytesSent, imageVerified } = receipt
  return [
    imageName && `image "${printable(imageName)}"`,
    bytesWritten !== undefined && `${formatBytes(bytesWritten)} written`,
    bytesSent !== undefined && `${formatBytes(bytesSent)} sent`,
    imageVerified && 'every byte verified',
  ]
    .filter(Boolean)
    .join(', ')
}
