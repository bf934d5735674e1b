/** More than two clocks differ by that are read one after the other, or that are slewed between two looks. */
const SET_MILLISECONDS = 1000

export interface Listening {
  now: Date
  /**
   * By the same clock: the run was heard for the last time after this, or nobody could hear it before. `heardAt` is by
   * the clock of the server that heard it.
   */
  since: (id: string, heardAt: Date) => Date
}

/**
 * Look often, and ask for each run. From when a run was heard last, by a clock that was set since or is another server's,
 * nobody can tell for how long it has been silent: that it was heard again between two looks can be seen. Of a clock that
 * was set, it has all its time again. `steady`: milliseconds of a clock that nobody sets.
 */
export function createListening(wall: () => Date, steady: () => number): () => Listening {
  let lookedAt = wall()
  let ahead = lookedAt.getTime() - steady()
  let heard = new Map<string, { heardAt: number; since: Date }>()
  return () => {
    const now = wall()
    const isSet = Math.abs(now.getTime() - steady() - ahead) > SET_MILLISECONDS
    const before = isSet ? new Map<string, never>() : heard
    const lastLook = isSet ? now : lookedAt
    ahead = now.getTime() - steady()
    lookedAt = now
    const current: typeof heard = new Map()
    heard = current
    return {
      now,
      since: (id, at) => {
        const heardAt = at.getTime()
        const known = before.get(id)
        const entry = known?.heardAt === heardAt ? known : { heardAt, since: lastLook }
        current.set(id, entry)
        return entry.since
      },
    }
  }
}
