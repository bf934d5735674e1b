import { and, asc, count, eq, gt, ne, sql } from 'drizzle-orm'
import { randomUUID } from 'node:crypto'
import type { Role, User } from '#protocol/account.ts'
import type { Database, Transaction } from '../database.ts'
import { users, webSessions } from '../schema.ts'

export type UserRow = typeof users.$inferSelect

/** Heard with OpenedDatabase.listen when somebody's rights may have changed. */
export const ACCOUNTS_CHANNEL = 'stampede_accounts'
/** Taken by whoever counts users and acts on the number. */
const ACCOUNTS_LOCK = 7_823_471

export interface NewUser {
  name: string
  role: Role
  passwordHash: string
}

export interface UserChange {
  role?: Role | undefined
  disabled?: boolean | undefined
  passwordHash?: string | undefined
}

export type UserChanged =
  | { kind: 'changed'; user: UserRow }
  | { kind: 'missing' }
  /** It would leave nobody who may manage users. */
  | { kind: 'last-admin' }

/** Sees the user as they are while nobody else can change them, and throws to leave them so. */
export type CheckUser = (current: UserRow | undefined) => void

export async function hasUsers(db: Database | Transaction): Promise<boolean> {
  const [row] = await db.select({ id: users.id }).from(users).limit(1)
  return row !== undefined
}

/** Names differ by more than upper and lower case, so that nobody is taken for another. */
export async function findUser(
  db: Database | Transaction,
  name: string,
): Promise<UserRow | undefined> {
  const [row] = await db.select().from(users).where(isNamed(name))
  return row
}

/** In the order of their names. */
export async function listUsers(
  db: Database,
  { limit, after }: { limit: number; after: string | undefined },
): Promise<{ items: User[]; next: string | null }> {
  const rows = await db
    .select()
    .from(users)
    .where(after === undefined ? undefined : gt(users.name, after))
    .orderBy(asc(users.name))
    .limit(limit + 1)
  const items = rows.slice(0, limit).map(toUser)
  return { items, next: rows.length > limit ? items.at(-1)!.name : null }
}

/** Undefined if there is one of that name. */
export function createUser(db: Database, user: NewUser, now: Date): Promise<UserRow | undefined> {
  return db.transaction(async (tx) => {
    await lockAccounts(tx)
    return (await findUser(tx, user.name)) ? undefined : insertUser(tx, user, now)
  })
}

/** Undefined if there are users already. */
export function createFirstUser(
  db: Database,
  user: NewUser,
  now: Date,
): Promise<UserRow | undefined> {
  return db.transaction(async (tx) => {
    await lockAccounts(tx)
    return (await hasUsers(tx)) ? undefined : insertUser(tx, user, now)
  })
}

/** Whatever changes what somebody may do, or how they prove who they are, ends their sessions. */
export function changeUser(
  db: Database,
  name: string,
  change: UserChange,
  check?: CheckUser,
): Promise<UserChanged> {
  return db.transaction(async (tx): Promise<UserChanged> => {
    await lockAccounts(tx)
    const before = await findUser(tx, name)
    check?.(before)
    if (!before) return { kind: 'missing' }
    const after = { role: change.role ?? before.role, disabled: change.disabled ?? before.disabled }
    if (!isAdmin(after) && (await isLastAdmin(tx, before))) return { kind: 'last-admin' }
    const values = { ...after, passwordHash: change.passwordHash ?? before.passwordHash }
    const [user] = await tx.update(users).set(values).where(eq(users.id, before.id)).returning()
    const isOther =
      after.role !== before.role || after.disabled || change.passwordHash !== undefined
    if (isOther) await tx.delete(webSessions).where(eq(webSessions.userId, before.id))
    await notifyAccounts(tx)
    return { kind: 'changed', user: user! }
  })
}

export function deleteUser(db: Database, name: string, check?: CheckUser): Promise<UserChanged> {
  return db.transaction(async (tx): Promise<UserChanged> => {
    await lockAccounts(tx)
    const user = await findUser(tx, name)
    check?.(user)
    if (!user) return { kind: 'missing' }
    if (await isLastAdmin(tx, user)) return { kind: 'last-admin' }
    await tx.delete(users).where(eq(users.id, user.id)) // and with it sessions and tokens
    await notifyAccounts(tx)
    return { kind: 'changed', user }
  })
}

/** Tells every server to ask anew who may do what. */
export async function notifyAccounts(db: Database | Transaction): Promise<void> {
  await db.execute(sql`select pg_notify(${ACCOUNTS_CHANNEL}, '')`)
}

export function toUser({ id, name, role, disabled, createdAt, lastLoginAt }: UserRow): User {
  return {
    id,
    name,
    role,
    disabled,
    createdAt: createdAt.toISOString(),
    lastLoginAt: lastLoginAt?.toISOString() ?? null,
  }
}

async function lockAccounts(tx: Transaction): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${ACCOUNTS_LOCK})`)
}

async function insertUser(tx: Transaction, user: NewUser, now: Date): Promise<UserRow> {
  const values = { id: randomUUID(), ...user, createdAt: now }
  const [row] = await tx.insert(users).values(values).returning()
  return row!
}

async function isLastAdmin(tx: Transaction, user: UserRow): Promise<boolean> {
  if (!isAdmin(user)) return false
  const [row] = await tx
    .select({ others: count() })
    .from(users)
    .where(and(ne(users.id, user.id), eq(users.role, 'admin'), eq(users.disabled, false)))
  return row!.others === 0
}

function isAdmin({ role, disabled }: { role: Role; disabled: boolean }): boolean {
  return role === 'admin' && !disabled
}

function isNamed(name: string) {
  return sql`lower(${users.name}) = ${name.toLowerCase()}`
}
