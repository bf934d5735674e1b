import type { Reach } from './http.ts'

/** A connection that breaks and is back by then is worth no line: requests go again at once. */
const SAID_AFTER_MILLISECONDS = 1000
/** How often a server that stays away is told of. */
const SAID_AGAIN_MILLISECONDS = 30_000

/**
 * Says when the server cannot be reached, that it still cannot, and how long that was in the end: once
 * for all the requests that are under way, of which each would tell of its own failures.
 */
export function createReachLog(
  say: (line: string) => void,
  now: () => number = () => performance.now(),
): Reach {
  let away: { since: number; saidAt: number | undefined } | undefined
  return {
    failed(message) {
      away ??= { since: now(), saidAt: undefined }
      const waited = now() - away.since
      if (waited < SAID_AFTER_MILLISECONDS) return
      if (away.saidAt !== undefined && now() - away.saidAt < SAID_AGAIN_MILLISECONDS) return
      away.saidAt = now()
      say(`Waiting for the server, for ${seconds(waited)} by now: ${message}`)
    },
    answered() {
      if (away?.saidAt !== undefined)
        say(`The server answers again; it was waited for ${seconds(now() - away.since)}`)
      away = undefined
    },
  }
}

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1000)} s`
}
