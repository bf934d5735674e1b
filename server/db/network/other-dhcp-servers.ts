import { desc, eq, sql } from 'drizzle-orm'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Database } from '../database.ts'
import { recordEvent } from '../events.ts'
import { otherDhcpServers } from '../schema.ts'

export type OtherDhcpServer = typeof otherDhcpServers.$inferSelect

/** Anybody can make servers up: so many are remembered. */
const MAX_SERVERS = 64

/** The one that was heard last comes first. */
export async function listOtherDhcpServers(db: Database): Promise<OtherDhcpServer[]> {
  return db
    .select()
    .from(otherDhcpServers)
    .orderBy(desc(otherDhcpServers.lastHeardAt), otherDhcpServers.address)
}

/** Remembers that one was heard; the first time with `notice` as an event. Whether it is new. */
export async function hearDhcpServer(
  db: Database,
  { address, notice, now }: { address: Ipv4; notice: object; now: Date },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const known = await tx
      .update(otherDhcpServers)
      .set({ lastHeardAt: now })
      .where(eq(otherDhcpServers.address, address))
      .returning()
    if (known.length > 0) return false
    if ((await tx.$count(otherDhcpServers)) >= MAX_SERVERS)
      await tx.execute(
        sql`delete from ${otherDhcpServers} where address = (select address from ${otherDhcpServers} order by last_heard_at limit 1)`,
      )
    const added = await tx
      .insert(otherDhcpServers)
      .values({ address, firstHeardAt: now, lastHeardAt: now })
      .onConflictDoNothing()
      .returning()
    if (added.length > 0) recordEvent(tx, 'notice', notice)
    return added.length > 0
  })
}
