import {
  IDLE_READ_SECONDS,
  IDLE_UPLOAD_SECONDS,
  isOfServer,
  isRead,
  type OpenUpload,
} from '#server/db/images/uploads.ts'

/** Of a server that died; a living one touches its uploads every minute. */
const DEAD_SERVER_SECONDS = 600
/** As long as an agent waits for a server that is away. */
const WATCHED_SECONDS = 3600

const SET_BACK_MILLISECONDS = 1000
/** One clock tells whole milliseconds, the other fractions, and they are read one after the other. */
const NOISE_MILLISECONDS = 50

export interface SweepClock {
  /** Whether the clock was set back since this was asked last; ask often. */
  wasSetBack(): boolean
  /** No upload is open: where the clock was set back before matters to nobody any more. */
  forget(): void
  /** Not later than what the clock said at or after that moment, wherever it was set since. */
  earliest(cutoff: Date): Date
  /** Those that nobody goes on with. Call with all that are open. */
  over(uploads: readonly OpenUpload[], now: Date): OpenUpload[]
}

/**
 * Chunks carry the time at which they were touched, by a clock that may be set while an upload relies on them.
 * Set forward by a day, it makes an upload that is under way seem idle; set back, it makes chunks that
 * were put a moment ago seem older than the upload. Against both helps a clock that nobody sets.
 */
export function createSweepClock(
  wall: () => number = () => Date.now(),
  steady: () => number = () => performance.now(),
): SweepClock {
  /** Of the wall clock before the other one; the highest since `forget`. */
  let ahead = wall() - steady()
  let furthest = ahead
  let setBackMilliseconds = 0
  let idle = new Map<string, { touchedAt: number; since: number }>()

  /** By how much the clock was set back since the last look. */
  function look(): number {
    const before = ahead
    ahead = wall() - steady()
    furthest = Math.max(furthest, ahead)
    if (furthest - ahead > NOISE_MILLISECONDS)
      setBackMilliseconds = Math.max(setBackMilliseconds, furthest - ahead)
    return before - ahead
  }

  const wasSetBack = () => look() > SET_BACK_MILLISECONDS

  return {
    wasSetBack,

    forget() {
      look()
      furthest = ahead
      setBackMilliseconds = 0
    },

    earliest(cutoff) {
      look()
      return new Date(cutoff.getTime() - setBackMilliseconds)
    },

    over(uploads, now) {
      const before = idle
      idle = new Map()
      return uploads.filter(({ id, holder, touchedAt: at }) => {
        const limitSeconds = limitOf({ holder })
        const touchedAt = at.getTime()
        if (Math.abs(now.getTime() - touchedAt) < limitSeconds * 1000) return false
        const known = before.get(id)
        const since = known?.touchedAt === touchedAt ? known.since : steady()
        idle.set(id, { touchedAt, since })
        return steady() - since >= Math.min(limitSeconds, WATCHED_SECONDS) * 1000
      })
    },
  }
}

function limitOf(upload: Pick<OpenUpload, 'holder'>): number {
  if (isOfServer(upload.holder)) return DEAD_SERVER_SECONDS
  return isRead(upload) ? IDLE_READ_SECONDS : IDLE_UPLOAD_SECONDS
}
