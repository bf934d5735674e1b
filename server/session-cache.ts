import type { Sha256 } from '#protocol/sha256.ts'
import type { AgentSession } from './api/auth.ts'
import type { OpenedDatabase } from './db/database.ts'
import { EVENTS_CHANNEL } from './db/events.ts'
import { findSession } from './db/tokens.ts'

/** Should a notification be lost, a session outlives its run by no more than this. */
const KEPT_MILLISECONDS = 1000
/** One for each agent at work; more than that is somebody guessing. */
const MAX_SESSIONS = 1024

export interface SessionCache extends AsyncDisposable {
  find(tokenHash: Sha256): Promise<AgentSession | undefined>
}

/**
 * Sessions as they were a moment ago. An agent asks for a thousand chunks a second, and a look into the
 * embedded database costs more than a chunk. Whatever happens to a run is an event, and
 * with each event all is forgotten.
 */
export async function openSessionCache(database: OpenedDatabase): Promise<SessionCache> {
  const kept = new Map<Sha256, { until: number; session: Promise<AgentSession | undefined> }>()
  const listening = await database.listen(EVENTS_CHANNEL, () => kept.clear())
  return {
    find(hash) {
      const present = kept.get(hash)
      if (present && present.until > performance.now()) return present.session
      if (kept.size >= MAX_SESSIONS) kept.clear()
      const session = findSession(database.db, hash)
      kept.set(hash, { until: performance.now() + KEPT_MILLISECONDS, session })
      session.catch(() => kept.delete(hash)) // whoever asked gets the error
      return session
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}
