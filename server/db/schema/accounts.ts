import {
  bigserial,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uuid,
} from 'drizzle-orm/pg-core'
import type { AuditEntry, Role } from '#protocol/account.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { moment } from './columns.ts'

/** People and programs, what they did, and the keys of the server. */

export const users = pgTable('users', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  role: text().$type<Role>().notNull(),
  /** PHC string of argon2id (RFC 9106). */
  passwordHash: text().notNull(),
  disabled: boolean().notNull().default(false),
  createdAt: moment().notNull(),
  lastLoginAt: moment(),
})

/** Somebody signed in with a browser; the cookie is kept as its hash. */
export const webSessions = pgTable('web_sessions', {
  hash: text().$type<Sha256>().primaryKey(),
  userId: uuid()
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' }),
  /** Sent back in a header with every call that changes something. */
  csrfToken: text().notNull(),
  createdAt: moment().notNull(),
  lastUsedAt: moment().notNull(),
  expiresAt: moment().notNull(),
})

/** For programs; shown once, kept as its hash. */
export const apiTokens = pgTable('api_tokens', {
  id: uuid().primaryKey(),
  hash: text().$type<Sha256>().notNull().unique(),
  name: text().notNull(),
  /** Dies with its owner; null: made with the admin token. */
  userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
  role: text().$type<Role>().notNull(),
  /** Resources that it may change; null: all that its role may. */
  scopes: jsonb().$type<string[]>(),
  createdAt: moment().notNull(),
  expiresAt: moment(),
  lastUsedAt: moment(),
  revokedAt: moment(),
})

/** Who did what; a trigger refuses to change or delete a row. */
export const auditEntries = pgTable(
  'audit_entries',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    at: moment().notNull(),
    actorKind: text().$type<AuditEntry['actor']['kind']>().notNull(),
    actorName: text().notNull(),
    address: text(),
    action: text().notNull(),
    targetKind: text(),
    target: text(),
    /** The HTTP status that it ended with. */
    status: integer().notNull(),
    details: jsonb(),
  },
  (table) => [
    index('audit_entries_by_target').on(table.targetKind, table.target, table.id),
    index('audit_entries_by_actor').on(table.actorName, table.id),
  ],
)

/** Answers to POSTs, so that one that is sent again does nothing twice. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    principal: text().notNull(),
    key: text().notNull(),
    /** Of method, path and body: another request under the same key is refused. */
    requestHash: text().$type<Sha256>().notNull(),
    /** null: being answered. */
    status: integer(),
    headers: jsonb().$type<Record<string, string>>(),
    body: text(),
    createdAt: moment().notNull(),
  },
  (table) => [primaryKey({ columns: [table.principal, table.key] })],
)

/** Keys that servers on this database share; an embedded one has its own in the data folder. */
export const signingKeys = pgTable('signing_keys', {
  purpose: text().primaryKey(),
  /** PKCS #8 in PEM. */
  privateKey: text().notNull(),
  createdAt: moment().notNull(),
})
