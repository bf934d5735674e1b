import { DrizzleQueryError } from 'drizzle-orm'
import { NoConnectionError } from './postgres-pool.ts'

/** Whether a query failed because a row with that key is there already (SQLSTATE 23505). */
export function isUniqueViolation(err: unknown): boolean {
  return sqlState(err) === '23505'
}

/** Whether Postgres ended a transaction because two waited for each other (SQLSTATE 40P01). */
export function isDeadlock(err: unknown): boolean {
  return sqlState(err) === '40P01'
}

/** Whether a query failed because the disk of the database has no room for more (SQLSTATE 53100). */
export function isDiskFull(err: unknown): boolean {
  return sqlState(err) === '53100'
}

/** Whether all connections to Postgres were in use for as long as one is waited for. */
export function isDatabaseBusy(err: unknown): boolean {
  const cause = causeOf(err)
  return cause instanceof NoConnectionError && cause.isBusy
}

/** Whether Postgres is away, or went away in the middle of a query. */
export function isDatabaseAway(err: unknown): boolean {
  const cause = causeOf(err)
  if (cause instanceof NoConnectionError) return true
  if (!(err instanceof DrizzleQueryError) || !(cause instanceof Error)) return false
  return LOST_STATES.has(String(sqlState(err))) || LOST_MESSAGES.has(cause.message)
}

/** SQLSTATEs of class 57 with which Postgres ends a connection, and what the kernel says of one that broke. */
const LOST_STATES = new Set(['57P01', '57P02', '57P03', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])
/** pg gives these no code. */
const LOST_MESSAGES = new Set([
  'Connection terminated unexpectedly',
  'Client has encountered a connection error and is not queryable',
])

function sqlState(err: unknown): unknown {
  const cause = causeOf(err)
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}

function causeOf(err: unknown): unknown {
  return err instanceof DrizzleQueryError ? err.cause : err
}
