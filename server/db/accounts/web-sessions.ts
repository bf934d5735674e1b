import { and, eq, lt, or } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { users, webSessions } from '../schema.ts'
import { notifyAccounts } from './users.ts'

/** Whoever was away for this long signs in again; and everybody after `MAX_SECONDS`. */
export const SESSION_IDLE_SECONDS = 12 * 3600
export const SESSION_MAX_SECONDS = 7 * 24 * 3600

export interface NewWebSession {
  hash: Sha256
  userId: string
  csrfToken: string
  now: Date
}

/**
 * Begins a session, which ends the one that the browser had. False if the user was disabled, or got
 * another password, while this one was being checked.
 */
export function startSession(
  db: Database,
  session: NewWebSession,
  { passwordHash, earlierHash }: { passwordHash: string; earlierHash: Sha256 | undefined },
): Promise<boolean> {
  const { userId, now } = session
  return db.transaction(async (tx) => {
    const isSame = and(
      eq(users.id, userId),
      eq(users.passwordHash, passwordHash),
      eq(users.disabled, false),
    )
    const found = await tx.update(users).set({ lastLoginAt: now }).where(isSame).returning()
    if (found.length === 0) return false
    if (earlierHash) await tx.delete(webSessions).where(eq(webSessions.hash, earlierHash))
    await insertSession(tx, session)
    return true
  })
}

export async function insertSession(
  db: Database | Transaction,
  { now, ...session }: NewWebSession,
): Promise<void> {
  const expiresAt = new Date(now.getTime() + SESSION_MAX_SECONDS * 1000)
  await db.insert(webSessions).values({ ...session, createdAt: now, lastUsedAt: now, expiresAt })
}

/** The session and whose it is, whether it is still valid or not; none of a disabled user. */
export async function findWebSession(db: Database, hash: Sha256) {
  const [row] = await db
    .select({
      userId: users.id,
      name: users.name,
      role: users.role,
      csrfToken: webSessions.csrfToken,
      lastUsedAt: webSessions.lastUsedAt,
      expiresAt: webSessions.expiresAt,
    })
    .from(webSessions)
    .innerJoin(users, eq(webSessions.userId, users.id))
    .where(and(eq(webSessions.hash, hash), eq(users.disabled, false)))
  return row
}

export async function touchWebSession(db: Database, hash: Sha256, now: Date): Promise<void> {
  await db
    .update(webSessions)
    .set({ lastUsedAt: now })
    .where(and(eq(webSessions.hash, hash), lt(webSessions.lastUsedAt, now)))
}

export async function endSession(db: Database, hash: Sha256): Promise<void> {
  await db.delete(webSessions).where(eq(webSessions.hash, hash))
  await notifyAccounts(db)
}

/** Removes sessions that nobody can use any more. */
export async function pruneWebSessions(db: Database, now: Date): Promise<void> {
  const idleSince = new Date(now.getTime() - SESSION_IDLE_SECONDS * 1000)
  await db
    .delete(webSessions)
    .where(or(lt(webSessions.expiresAt, now), lt(webSessions.lastUsedAt, idleSince)))
}
