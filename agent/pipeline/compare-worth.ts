/** So many are compared before it is decided whether to go on. */
const TRIED_CHUNKS = 96
/** And so many fetched: the first of them take whatever time they happen to take. */
const TRIED_FETCHES = 32

/**
 * Whether it is still worth reading a chunk of the disk before fetching it. What reading costs is
 * paid for every chunk; what fetching costs is saved for those that are there already.
 */
export interface CompareWorth {
  isWorthIt(): boolean
  compared(milliseconds: number, wasThere: boolean): void
  fetched(milliseconds: number): void
}

export function createCompareWorth(): CompareWorth {
  let compared = 0
  let found = 0
  let compareMilliseconds = 0
  let fetched = 0
  let fetchMilliseconds = 0
  return {
    isWorthIt() {
      if (compared < TRIED_CHUNKS || fetched < TRIED_FETCHES) return true
      return found * (fetchMilliseconds / fetched) >= compareMilliseconds
    },
    compared(milliseconds, wasThere) {
      compared++
      compareMilliseconds += milliseconds
      if (wasThere) found++
    },
    fetched(milliseconds) {
      fetched++
      fetchMilliseconds += milliseconds
    },
  }
}
