import { and, count, desc, eq, gt, isNull, lt, or } from 'drizzle-orm'
import type { ApiToken, Role, TokenScope } from '#protocol/account.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '../database.ts'
import { apiTokens, users } from '../schema.ts'
import { notifyAccounts } from './users.ts'

/** How long a list still shows a token that is over. */
const KEPT_SECONDS = 90 * 24 * 3600

export interface NewApiToken {
  id: string
  hash: Sha256
  name: string
  /** null: of nobody, made with the admin token. */
  userId: string | null
  role: Role
  scopes: TokenScope[] | null
  expiresAt: Date | null
  createdAt: Date
}

const COLUMNS = {
  id: apiTokens.id,
  name: apiTokens.name,
  userId: apiTokens.userId,
  owner: users.name,
  ownerRole: users.role,
  ownerDisabled: users.disabled,
  role: apiTokens.role,
  scopes: apiTokens.scopes,
  createdAt: apiTokens.createdAt,
  expiresAt: apiTokens.expiresAt,
  lastUsedAt: apiTokens.lastUsedAt,
  revokedAt: apiTokens.revokedAt,
}

export async function saveApiToken(db: Database, token: NewApiToken): Promise<void> {
  await db.insert(apiTokens).values(token)
}

/** The token and its owner, whether it is still valid or not. */
export async function findApiToken(db: Database, hash: Sha256) {
  const [row] = await selectTokens(db).where(eq(apiTokens.hash, hash))
  return row
}
export type ApiTokenRow = NonNullable<Awaited<ReturnType<typeof findApiToken>>>

export async function findApiTokenById(db: Database, id: string) {
  const [row] = await selectTokens(db).where(eq(apiTokens.id, id))
  return row
}

/** Newest first; of one owner (null: of those that have none), or of all. */
export async function listApiTokens(
  db: Database,
  owner: { userId: string | null } | 'all',
  { limit, after }: { limit: number; after: string | undefined },
): Promise<{ items: ApiToken[]; next: string | null }> {
  // Ids are UUIDs of version 7, so that they are in the order of their making.
  const rows = await selectTokens(db)
    .where(
      and(
        owner === 'all' ? undefined : isOwnedBy(owner.userId),
        after === undefined ? undefined : lt(apiTokens.id, after),
      ),
    )
    .orderBy(desc(apiTokens.id))
    .limit(limit + 1)
  const items = rows.slice(0, limit).map(toApiToken)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

/** How many of this owner could be used now. */
export async function countLiveTokens(
  db: Database,
  userId: string | null,
  now: Date,
): Promise<number> {
  const [row] = await db
    .select({ live: count() })
    .from(apiTokens)
    .where(
      and(
        isOwnedBy(userId),
        isNull(apiTokens.revokedAt),
        or(isNull(apiTokens.expiresAt), gt(apiTokens.expiresAt, now)),
      ),
    )
  return row!.live
}

/** A token that was revoked before keeps its time. */
export async function revokeApiToken(db: Database, id: string, now: Date): Promise<void> {
  await db
    .update(apiTokens)
    .set({ revokedAt: now })
    .where(and(eq(apiTokens.id, id), isNull(apiTokens.revokedAt)))
  await notifyAccounts(db)
}

export async function touchApiToken(db: Database, hash: Sha256, now: Date): Promise<void> {
  await db.update(apiTokens).set({ lastUsedAt: now }).where(eq(apiTokens.hash, hash))
}

/** Forgets tokens that have long been over. */
export async function pruneApiTokens(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - KEPT_SECONDS * 1000)
  await db
    .delete(apiTokens)
    .where(or(lt(apiTokens.revokedAt, limit), lt(apiTokens.expiresAt, limit)))
}

export function toApiToken(row: ApiTokenRow): ApiToken {
  return {
    id: row.id,
    name: row.name,
    owner: row.owner,
    role: row.role,
    scopes: row.scopes as TokenScope[] | null,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
    revokedAt: row.revokedAt?.toISOString() ?? null,
  }
}

function isOwnedBy(userId: string | null) {
  return userId === null ? isNull(apiTokens.userId) : eq(apiTokens.userId, userId)
}

function selectTokens(db: Database) {
  return db
    .select(COLUMNS)
    .from(apiTokens)
    .leftJoin(users, eq(apiTokens.userId, users.id))
    .$dynamic()
}
