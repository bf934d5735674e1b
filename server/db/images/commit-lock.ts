import { sql } from 'drizzle-orm'
import pLimit from 'p-limit'
import type { Database } from '../database.ts'

const COMMIT_LOCK = 7_823_463
/** Each holds a connection while its work asks for another: some must be left for that. */
const CONCURRENT_COMMITS = 3

/**
 * Commits of images share it, sweeps have it alone, on however many servers. For Postgres only: on
 * PGlite a transaction would keep everyone else from the one connection.
 */
export function createDatabaseCommitLock(db: Database) {
  const limit = pLimit(CONCURRENT_COMMITS)
  return {
    shared: <Result>(work: () => Promise<Result>): Promise<Result> =>
      limit(() =>
        db.transaction(async (tx) => {
          await tx.execute(sql`select pg_advisory_xact_lock_shared(${COMMIT_LOCK})`)
          return work()
        }),
      ),

    exclusive: <Result>(work: () => Promise<Result>): Promise<Result> =>
      db.transaction(async (tx) => {
        await tx.execute(sql`select pg_advisory_xact_lock(${COMMIT_LOCK})`)
        return work()
      }),
  }
}
