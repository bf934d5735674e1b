import type { OpenUpload } from '#server/db/images/uploads.ts'

/** An agent asks again within seconds. Another server of the store, if it asks that, notes so once a minute. */
const GIVEN_UP_MILLISECONDS = 90_000

/** Uploads, chunk by chunk, that the store had no room for. */
export interface RefusedUploads extends Disposable {
  /** There was no room for what the holder brought. The upload is as it was then, or a bit later. */
  refused(upload: OpenUpload): void
  /** The holder came back, or its upload is over. Cheap when called for every chunk. */
  forget(holder: string): void
}

/**
 * Whoever sends chunks and is refused goes away without a word, and what it stored would keep the store full
 * for a day. `giveUp` is told who did not come back here: if it went on with another server, the upload is
 * not as it was any more.
 */
export function watchRefusedUploads(giveUp: (upload: OpenUpload) => void): RefusedUploads {
  const waiting = new Map<string, NodeJS.Timeout>()

  function forget(holder: string): void {
    clearTimeout(waiting.get(holder))
    waiting.delete(holder)
  }

  return {
    forget,

    refused(upload) {
      const { holder } = upload
      forget(holder)
      const timer = setTimeout(() => {
        waiting.delete(holder)
        giveUp(upload)
      }, GIVEN_UP_MILLISECONDS)
      waiting.set(holder, timer.unref())
    },

    [Symbol.dispose]() {
      for (const timer of waiting.values()) clearTimeout(timer)
    },
  }
}
