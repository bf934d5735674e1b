import pRetry from 'p-retry'
import type { Database } from './database.ts'
import { writeEvents } from './events.ts'
import { isDeadlock } from './failures.ts'

/** Postgres ends one of those that wait for each other, and it has done nothing then. */
const RETRIES = 5
const FIRST_WAIT_MILLISECONDS = 10
const MAX_WAIT_MILLISECONDS = 200

/**
 * Has every transaction of `db` write its events last, and begin anew where Postgres chose it to
 * give way: so what runs in one must do nothing outside of it that cannot be done twice.
 */
export function completeTransactions<Opened extends Database>(db: Opened): Opened {
  const transaction = db.transaction.bind(db) as Database['transaction']
  const complete: Database['transaction'] = (work, config) =>
    pRetry(
      () =>
        transaction(async (tx) => {
          const result = await work(tx)
          await writeEvents(tx)
          return result
        }, config),
      {
        retries: RETRIES,
        minTimeout: FIRST_WAIT_MILLISECONDS,
        maxTimeout: MAX_WAIT_MILLISECONDS,
        randomize: true,
        shouldRetry: ({ error }) => isDeadlock(error),
      },
    )
  return Object.assign(db, { transaction: complete })
}
