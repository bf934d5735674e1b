import type { DiskComparison } from './run.ts'

/** `7`, `7–9`: for people, the last one included. */
export function mibRangeText({ startMib, endMib }: DiskComparison['differing'][number]): string {
  return endMib === startMib + 1 ? String(startMib) : `${startMib}–${endMib - 1}`
}
