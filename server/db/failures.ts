import { DrizzleQueryError } from 'drizzle-orm'

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

/** Whether all connections to Postgres were in use for as long as one is waited for: nothing was begun. */
export function isWithoutConnection(err: unknown): boolean {
  const cause = causeOf(err)
  return cause instanceof Error && cause.message === POOL_TIMEOUT_MESSAGE
}

/** pg-pool gives it no code. */
const POOL_TIMEOUT_MESSAGE = 'timeout exceeded when trying to connect'

function sqlState(err: unknown): unknown {
  const cause = causeOf(err)
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}

function causeOf(err: unknown): unknown {
  return err instanceof DrizzleQueryError ? err.cause : err
}
