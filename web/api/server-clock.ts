/** Whole seconds, an answer on its way, and clocks that are right; what differs more is a wrong clock. */
const TOLERATED_MILLISECONDS = 5000

let aheadMilliseconds = 0

/** Learns how far the server's clock is ahead of this browser's, from the header `Date` of an answer. */
export function noteServerTime(date: string | null): void {
  const difference = date === null ? NaN : Date.parse(date) - Date.now()
  if (Number.isNaN(difference)) return
  aheadMilliseconds = Math.abs(difference) > TOLERATED_MILLISECONDS ? difference : 0
}

/**
 * The time as the server has it, whose times are all that is shown: a browser whose clock is hours ahead
 * would call machines silent that are at work, and a plan expired that was just made.
 */
export function serverNow(): Date {
  return new Date(Date.now() + aheadMilliseconds)
}
