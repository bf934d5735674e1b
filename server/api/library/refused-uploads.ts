/** An agent asks again within seconds. Another server of the store, if it asks that, notes so once a minute. */
const GIVEN_UP_MILLISECONDS = 90_000

/** Uploads, chunk by chunk, that the store had no room for. */
export interface RefusedUploads extends Disposable {
  /** There was no room for what the holder brought. */
  refused(holder: string): void
  /** The holder came back, or its upload is over. Cheap when called for every chunk. */
  forget(holder: string): void
}

/**
 * Whoever sends chunks and is refused goes away without a word, and what it stored would keep the store full
 * for a day. `giveUp` is told who did not come back, and when it was refused.
 */
export function watchRefusedUploads(
  giveUp: (holder: string, refusedAt: Date) => void,
): RefusedUploads {
  const waiting = new Map<string, NodeJS.Timeout>()

  function forget(holder: string): void {
    clearTimeout(waiting.get(holder))
    waiting.delete(holder)
  }

  return {
    forget,

    refused(holder) {
      forget(holder)
      const refusedAt = new Date()
      const timer = setTimeout(() => {
        waiting.delete(holder)
        giveUp(holder, refusedAt)
      }, GIVEN_UP_MILLISECONDS)
      waiting.set(holder, timer.unref())
    },

    [Symbol.dispose]() {
      for (const timer of waiting.values()) clearTimeout(timer)
    },
  }
}
