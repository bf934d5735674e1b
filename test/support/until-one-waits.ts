import { sql } from 'drizzle-orm'
import type { Transaction } from '#server/db/database.ts'

/** Until somebody else waits for what this transaction holds. Of Postgres alone: PGlite has one connection. */
export async function untilOneWaits(tx: Transaction): Promise<void> {
  // pg_stat_activity would not do: a transaction sees those only that were connected when it looked first.
  const waiting = sql`select count(*)::int from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))`
  for (;;) {
    const [found] = await tx
      .select({ count: sql<number>`(${waiting})` })
      .from(sql`(values (1)) one`)
    if (found!.count > 0) return
  }
}
