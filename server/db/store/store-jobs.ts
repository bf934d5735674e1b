import { and, eq, isNull, lt, or, sql } from 'drizzle-orm'
import type { StoreJobName } from '#protocol/store.ts'
import type { Database } from '../database.ts'
import { recompressedChunks, storeJobs } from '../schema.ts'

/** What is done to the store in the background: its settings, its place, and which server does it. */

export type JobRow = typeof storeJobs.$inferSelect

const KEY_BYTES = 6

export async function getJob(db: Database, name: StoreJobName): Promise<JobRow> {
  const [row] = await db.select().from(storeJobs).where(eq(storeJobs.name, name))
  const absent = { requestedAt: null, claimedBy: null, claimedUntil: null }
  return row ?? { name, enabled: null, state: {}, ...absent }
}

/** True if it is the server's from now on; also when it was already. */
export async function claimJob(
  db: Database,
  name: StoreJobName,
  { server, now, until }: { server: string; now: Date; until: Date },
): Promise<boolean> {
  const claim = { claimedBy: server, claimedUntil: until }
  const rows = await db
    .insert(storeJobs)
    .values({ name, ...claim })
    .onConflictDoUpdate({
      target: storeJobs.name,
      set: claim,
      setWhere: or(
        isNull(storeJobs.claimedUntil),
        lt(storeJobs.claimedUntil, now),
        eq(storeJobs.claimedBy, server),
      ),
    })
    .returning({ name: storeJobs.name })
  return rows.length > 0
}

export async function releaseJob(db: Database, name: StoreJobName, server: string): Promise<void> {
  await db
    .update(storeJobs)
    .set({ claimedBy: null, claimedUntil: null })
    .where(and(eq(storeJobs.name, name), eq(storeJobs.claimedBy, server)))
}

/** What the state does not name stays as it was. */
export async function saveJobState(
  db: Database,
  name: StoreJobName,
  state: Record<string, unknown>,
): Promise<void> {
  await db
    .insert(storeJobs)
    .values({ name, state })
    .onConflictDoUpdate({
      target: storeJobs.name,
      set: { state: sql`${storeJobs.state} || ${JSON.stringify(state)}::jsonb` },
    })
}

export async function changeJob(
  db: Database,
  name: StoreJobName,
  change: { enabled?: boolean; requestedAt?: Date | null },
): Promise<void> {
  await db
    .insert(storeJobs)
    .values({ name, ...change })
    .onConflictDoUpdate({ target: storeJobs.name, set: change })
}

/** By the first 48 bits of their hashes: two that begin alike are as good as never. */
export async function loadRecompressed(
  db: Database,
  prefix: string,
  level: string,
): Promise<Set<string>> {
  const [row] = await db
    .select()
    .from(recompressedChunks)
    .where(and(eq(recompressedChunks.prefix, prefix), eq(recompressedChunks.level, level)))
  const keys = new Set<string>()
  const bytes = Buffer.from(row?.hashes ?? [])
  for (let start = 0; start < bytes.length; start += KEY_BYTES)
    keys.add(bytes.toString('hex', start, start + KEY_BYTES))
  return keys
}

export async function saveRecompressed(
  db: Database,
  prefix: string,
  level: string,
  keys: ReadonlySet<string>,
): Promise<void> {
  const hashes = Buffer.from([...keys].join(''), 'hex')
  await db
    .insert(recompressedChunks)
    .values({ prefix, level, hashes })
    .onConflictDoUpdate({ target: recompressedChunks.prefix, set: { level, hashes } })
}

/** As `loadRecompressed` knows it. */
export function recompressedKey(hash: string): string {
  return hash.slice(0, 2 * KEY_BYTES)
}
