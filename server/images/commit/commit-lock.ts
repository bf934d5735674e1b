/**
 * Commits go on side by side; a sweep waits for them and keeps new ones waiting. Within this process
 * only: several servers on one database also take the database's lock.
 */
export interface CommitLock {
  shared<Result>(work: () => Promise<Result>): Promise<Result>
  exclusive<Result>(work: () => Promise<Result>): Promise<Result>
}

export function createCommitLock(): CommitLock {
  /** Resolves when the last exclusive holder, and all that wait to be one, are done. */
  let exclusiveDone: Promise<unknown> = Promise.resolve()
  const sharing = new Set<Promise<unknown>>()

  return {
    async shared(work) {
      for (let seen; seen !== exclusiveDone;) await (seen = exclusiveDone)
      const working = work()
      const settled = working.catch(() => {}).finally(() => sharing.delete(settled))
      sharing.add(settled)
      return working
    },

    exclusive(work) {
      const working = exclusiveDone.then(() => Promise.all(sharing)).then(work)
      exclusiveDone = working.catch(() => {})
      return working
    },
  }
}
