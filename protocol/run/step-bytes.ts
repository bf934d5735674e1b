import type { Run } from './run.ts'

/** What the agent reads back it counts again; BOOTy reads nothing back. */
export function isCountedTwice(step: string, by: Run['claimedBy']): boolean {
  return step === 'write-image' && by !== 'booty'
}

/** Behind a number of bytes that are still to be done; without, twice the size of an image would be a riddle. */
export function bytesToDoWords(step: string, by: Run['claimedBy']): string {
  return isCountedTwice(step, by) ? ' to write and read back' : ''
}
