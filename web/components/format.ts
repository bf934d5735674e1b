/** Figures and times as people read them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Decimal, as disks are sold: `512 B`, `1.50 GB`, `12.0 GB`, `500 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  // 999.6 MB would be printed as 1000 MB.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  if (unit === 0) return `${Math.round(value)} B`
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`
}

/** `45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ]
  const first = parts.findIndex(([value]) => value > 0)
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ')
}

export interface Progress {
  bytesDone: number
  bytesTotal: number
  bytesPerSecond: number
}

/** Below this many bytes a second something is waited for, and no time follows from it. */
const STALLED_BYTES_PER_SECOND = 1024

/** How long it still takes at its present rate; undefined: nothing to tell it from. */
export function secondsLeft(progress: Progress): number | undefined {
  const { bytesDone, bytesTotal, bytesPerSecond } = progress
  if (bytesTotal === 0 || bytesPerSecond < STALLED_BYTES_PER_SECOND) return undefined
  return Math.max(0, bytesTotal - bytesDone) / bytesPerSecond
}

/**
 * `just now`, `5 min ago`, `in 2 h`. Days go by the calendar's 24 hours. What is to come is rounded:
 * what begins to last a week ends `in 7 d`.
 */
export function formatRelative(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000)
  if (Math.abs(seconds) < 10) return 'just now'
  return seconds > 0
    ? `${roughAmount(seconds, Math.floor)} ago`
    : `in ${roughAmount(-seconds, Math.round)}`
}

function roughAmount(seconds: number, whole: (value: number) => number): string {
  if (seconds < 60) return `${seconds} s`
  const minutes = whole(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = whole(seconds / 3600)
  return hours < 24 ? `${hours} h` : `${whole(seconds / 86_400)} d`
}

/** `14:03:20`, in the viewer's zone. */
export function formatClock(at: Date): string {
  return at.toLocaleTimeString()
}

/** In the viewer's zone and language, with the zone. */
export function formatExact(at: Date): string {
  return at.toLocaleString(undefined, {
    dateStyle: 'medium',
    timeStyle: 'long',
  })
}

/** `1 machine`, `2 machines`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`
}
