import { formatDuration, type Progress } from '../components/format.ts'

/** How long a run still takes, as far as anybody can tell. */

/** Part done, 0 to 1; undefined for a step that counts no bytes. */
export function fractionDone({ bytesDone, bytesTotal }: Progress): number | undefined {
  return bytesTotal === 0 ? undefined : Math.min(1, bytesDone / bytesTotal)
}

/** `about 4 minutes`: no finer than a rate that changes allows. */
export function spokenEstimate(seconds: number): string {
  if (seconds < 10) return 'a few seconds'
  if (seconds < 55) return `about ${Math.ceil(seconds / 10) * 10} seconds`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return minutes === 1 ? 'about a minute' : `about ${minutes} minutes`
  const hours = Math.floor(minutes / 60)
  const rest = Math.round((minutes % 60) / 10) * 10
  if (rest === 60) return `about ${hours + 1} h`
  return rest === 0 ? `about ${hours} h` : `about ${hours} h ${rest} min`
}

/** `≈ 4 min`, where there is little room. */
export function shortEstimate(seconds: number): string {
  const grain = seconds < 55 ? 10 : 60
  return `≈ ${formatDuration(Math.max(1, Math.round(seconds / grain)) * grain)}`
}

/** Seconds between two times of ours; undefined while one is missing. */
export function secondsBetween(
  from: string | null | undefined,
  to: string | null | undefined,
): number | undefined {
  if (!from || !to) return undefined
  return (Date.parse(to) - Date.parse(from)) / 1000
}
