import type { Sha256 } from '#protocol/sha256.ts'
import type { AgentSession } from '../api/access/auth.ts'
import type { OpenedDatabase } from '../db/database.ts'
import { changedRunOf, EVENTS_CHANNEL } from '../db/events.ts'
import { findSession } from '../db/machines/tokens.ts'

/**
 * Should a notification be lost, a session outlives its run by no more than this. Much shorter, and the looks of two
 * hundred reporting agents cost an embedded database more than all that they report.
 */
const KEPT_MILLISECONDS = 30_000
/** One for each agent at work; more than that is somebody guessing. */
const MAX_SESSIONS = 1024

export interface SessionCache extends AsyncDisposable {
  find(tokenHash: Sha256): Promise<AgentSession | undefined>
}

interface Kept {
  until: number
  session: Promise<AgentSession | undefined>
  /** null: of no run; undefined: not known yet. */
  runId: string | null | undefined
}

/**
 * Sessions as they were a moment ago. An agent asks for a thousand chunks a second, and a look into the
 * embedded database costs more than a chunk. Whatever happens to a run is an event, with which its
 * sessions are forgotten.
 */
export async function openSessionCache(database: OpenedDatabase): Promise<SessionCache> {
  const kept = new Map<Sha256, Kept>()
  const listening = await database.listen(EVENTS_CHANNEL, (payload) => {
    const changed = changedRunOf(payload)
    if (changed === 'any') return kept.clear()
    if (changed === undefined) return
    for (const [hash, { runId }] of kept)
      if (runId === undefined || runId === changed) kept.delete(hash)
  })

  function read(hash: Sha256): Kept {
    const session = findSession(database.db, hash)
    const entry: Kept = {
      until: performance.now() + KEPT_MILLISECONDS,
      session,
      runId: undefined,
    }
    session.then(
      (found) => (entry.runId = found?.run?.id ?? null),
      () => kept.delete(hash), // whoever asked gets the error
    )
    return entry
  }

  return {
    find(hash) {
      const present = kept.get(hash)
      if (present && present.until > performance.now()) return present.session
      if (kept.size >= MAX_SESSIONS) kept.clear()
      const entry = read(hash)
      kept.set(hash, entry)
      return entry.session
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}
