import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import type { Listen } from './postgres-listener.ts'
import type * as schema from './schema.ts'

/** Postgres or PGlite, whichever: queries are written against this. */
export type Database = PgDatabase<PgQueryResultHKT, typeof schema>
/** What a function that joins the caller's transaction takes. */
export type Transaction = Parameters<Parameters<Database['transaction']>[0]>[0]

export type DatabaseConfig =
  | { kind: 'embedded'; folder: string }
  | { kind: 'postgres'; url: string }

export interface OpenedDatabase extends AsyncDisposable {
  db: Database
  /**
   * Waits until what was committed survives a power failure. Postgres does that by itself; PGlite
   * never flushes, so whoever is about to act on a commit for good calls this first.
   */
  flush(): Promise<void>
  /** Throws DatabaseFullError where there is hardly room for another image. Of Postgres nobody can tell. */
  checkRoom(): Promise<void>
  /** Calls back after each commit that notified the channel, in this process or another. */
  listen: Listen
  /** Aborted, with a DatabaseFailedError, when it answers nobody any more until the server is started again. */
  failed: AbortSignal
}
