/** More than two clocks differ by that are read one after the other, or that are slewed between two looks. */
const SET_MILLISECONDS = 1000

/** The moment, and since when whoever had something to say could be heard, by the same clock. */
export interface Listening {
  now: Date
  since: Date
}

/**
 * Look often. From when a run was heard last, by a clock that was set since, nobody can tell for how long it
 * has been silent: from then on it has all its time again. `steady`: milliseconds of a clock that nobody sets.
 */
export function createListening(wall: () => Date, steady: () => number): () => Listening {
  let since = wall()
  let ahead = since.getTime() - steady()
  return () => {
    const now = wall()
    const before = ahead
    ahead = now.getTime() - steady()
    if (Math.abs(ahead - before) > SET_MILLISECONDS) since = now
    return { now, since }
  }
}
