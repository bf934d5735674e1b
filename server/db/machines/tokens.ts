import { and, asc, eq, gt, isNotNull, lt, or, sql } from 'drizzle-orm'
import type { Mac } from '#protocol/mac.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { agentSessions, bootTokens, runs } from '../schema.ts'

export const BOOT_TOKEN_SECONDS = 15 * 60
/** After a run a late result is still told from a stranger's; then its session is forgotten. */
const ENDED_SESSION_SECONDS = 24 * 3600

export async function saveBootToken(
  db: Database,
  hash: Sha256,
  mac: Mac,
  now: Date,
): Promise<void> {
  const expiresAt = new Date(now.getTime() + BOOT_TOKEN_SECONDS * 1000)
  await db.insert(bootTokens).values({ hash, mac, expiresAt })
}

/** Takes the token away, so that it is good once; false if there is none for this card. */
export async function takeBootToken(
  tx: Transaction,
  hash: Sha256,
  mac: Mac,
  now: Date,
): Promise<boolean> {
  const taken = await tx
    .delete(bootTokens)
    .where(and(eq(bootTokens.hash, hash), eq(bootTokens.mac, mac), gt(bootTokens.expiresAt, now)))
    .returning()
  return taken.length > 0
}

export interface NewSession {
  hash: Sha256
  bootTokenHash: Sha256
  mac: Mac
  runId: string | null
  attempt: number
  now: Date
}

/** Earlier attempts' sessions stay, so that their agents are told that they are old. */
export async function saveSession(tx: Transaction, { now, ...session }: NewSession): Promise<void> {
  await tx.insert(agentSessions).values({ ...session, createdAt: now })
}

/** What this card got for a boot token that it used of late. */
export async function findSwappedSession(
  tx: Transaction,
  bootTokenHash: Sha256,
  mac: Mac,
  now: Date,
): Promise<{ runId: string | null; attempt: number } | undefined> {
  const limit = new Date(now.getTime() - BOOT_TOKEN_SECONDS * 1000)
  const [found] = await tx
    .select({ runId: agentSessions.runId, attempt: agentSessions.attempt })
    .from(agentSessions)
    .where(
      and(
        eq(agentSessions.bootTokenHash, bootTokenHash),
        eq(agentSessions.mac, mac),
        gt(agentSessions.createdAt, limit),
      ),
    )
    .orderBy(asc(agentSessions.createdAt)) // asking again and again does not prolong it
    .limit(1)
  return found
}

/** The session and its run as it is now. */
export async function findSession(db: Database, hash: Sha256) {
  const [found] = await db
    .select({
      mac: agentSessions.mac,
      attempt: agentSessions.attempt,
      run: {
        id: runs.id,
        workflow: runs.workflow,
        state: runs.state,
        attempts: runs.attempts,
        image: runs.image,
        imageDigest: runs.imageDigest,
        claimedBy: runs.claimedBy,
      },
    })
    .from(agentSessions)
    .leftJoin(runs, eq(agentSessions.runId, runs.id))
    .where(eq(agentSessions.hash, hash))
  if (!found) return undefined
  return { mac: found.mac, attempt: found.attempt, run: found.run ?? undefined }
}

/** Removes tokens and sessions that nobody can use any more. */
export async function pruneTokens(db: Database, now: Date): Promise<void> {
  await db.delete(bootTokens).where(lt(bootTokens.expiresAt, now))
  const limit = new Date(now.getTime() - ENDED_SESSION_SECONDS * 1000)
  const endedRuns = db
    .select({ id: runs.id })
    .from(runs)
    .where(and(isNotNull(runs.finishedAt), lt(runs.finishedAt, limit)))
  await db
    .delete(agentSessions)
    .where(
      or(
        sql`${agentSessions.runId} in ${endedRuns}`,
        and(sql`${agentSessions.runId} is null`, lt(agentSessions.createdAt, limit)),
      ),
    )
}
