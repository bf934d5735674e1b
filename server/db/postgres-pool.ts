import pg from 'pg'

const CONNECT_TIMEOUT_MILLISECONDS = 10_000
const STATEMENT_TIMEOUT_MILLISECONDS = 60_000
const MAX_CONNECTIONS = 10
/** pg-pool gives it no code. */
const TIMEOUT_MESSAGE = 'timeout exceeded when trying to connect'

/** There is no connection to Postgres for this query, so that nothing of it was begun. */
export class NoConnectionError extends Error {
  override name = 'NoConnectionError'
  /** All were in use for as long as one is waited for; else Postgres is away, or refuses us. */
  readonly isBusy: boolean
  constructor(cause: Error) {
    super(`There is no connection to Postgres: ${cause.message || String(cause)}`, { cause })
    this.isBusy = cause.message === TIMEOUT_MESSAGE
  }
}

type Taken = Parameters<Parameters<pg.Pool['connect']>[0]>

/** Queries and transactions that get no connection fail with NoConnectionError. */
export function openPostgresPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MILLISECONDS,
    statement_timeout: STATEMENT_TIMEOUT_MILLISECONDS,
  })
  // A connection that breaks is replaced at the next query, and fails the one that it is in. Unheard, it
  // would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  const connect = pool.connect.bind(pool)
  // The pool's own queries call it with a callback, transactions wait for its promise.
  function connectOrSay(callback?: (...taken: Taken) => void) {
    if (callback)
      return connect((err, ...taken) => callback(err && new NoConnectionError(err), ...taken))
    return connect().catch((err: Error) => {
      throw new NoConnectionError(err)
    })
  }
  return Object.assign(pool, { connect: connectOrSay as pg.Pool['connect'] })
}
