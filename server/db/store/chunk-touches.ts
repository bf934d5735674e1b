import { and, eq, gte, lt, sql } from 'drizzle-orm'
import pLimit from 'p-limit'
import { decodeHex, encodeHex } from '#protocol/hex.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, DatabaseConfig, Transaction } from '../database.ts'
import { chunkTouches } from '../schema.ts'

const TOUCH_LOCK = 7_823_474
/** Of each hash, after the two digits that rows go by: two chunks that share them spare each other. */
const KEPT_BYTES = 8
const KEPT_DIGITS = 2 * KEPT_BYTES

/**
 * When chunks were touched, in few rows: all that one asks for at once, and what comes while the
 * last were being written, go together. A touch and a removal keep out of each other's way by
 * turns within this process, and by a lock of the database among several.
 */
export function createChunkTouches(db: Database, kind: DatabaseConfig['kind']) {
  const inTurn = pLimit(1)
  let gathering: { hashes: Set<Sha256>; recorded: Promise<void> } | undefined

  /** On PGlite a transaction would keep everyone else from the one connection. */
  function locked<Result>(
    mode: 'shared' | 'alone',
    work: (db: Database | Transaction) => Promise<Result>,
  ): Promise<Result> {
    if (kind === 'embedded') return work(db)
    return db.transaction(async (tx) => {
      await tx.execute(
        mode === 'shared'
          ? sql`select pg_advisory_xact_lock_shared(${TOUCH_LOCK})`
          : sql`select pg_advisory_xact_lock(${TOUCH_LOCK})`,
      )
      return work(tx)
    })
  }

  async function write(hashes: Set<Sha256>): Promise<void> {
    const byPrefix = Map.groupBy(hashes, (hash) => hash.slice(0, 2))
    await locked('shared', async (tx) => {
      const touchedAt = new Date()
      const rows = [...byPrefix].map(([prefix, list]) => {
        const kept = list.map((hash) => hash.slice(2, 2 + KEPT_DIGITS)).join('')
        return { prefix, touchedAt, hashes: decodeHex(kept) }
      })
      await tx.insert(chunkTouches).values(rows)
    })
  }

  return {
    record(hashes: readonly Sha256[]): Promise<void> {
      if (hashes.length === 0) return Promise.resolve()
      if (!gathering) {
        const all = new Set<Sha256>()
        const recorded = inTurn(() => {
          gathering = undefined
          return write(all)
        })
        gathering = { hashes: all, recorded }
      }
      for (const hash of hashes) gathering.hashes.add(hash)
      return gathering.recorded
    },

    removing<Result>(
      prefix: string,
      cutoff: Date,
      remove: (wasTouched: (hash: Sha256) => boolean) => Promise<Result>,
    ): Promise<Result> {
      return inTurn(() =>
        locked('alone', async (tx) => {
          const touched = await touchedSince(tx, prefix, cutoff)
          return remove((hash) => touched.has(hash.slice(2, 2 + KEPT_DIGITS)))
        }),
      )
    },

    async forget(prefix: string, cutoff: Date): Promise<void> {
      await db
        .delete(chunkTouches)
        .where(and(eq(chunkTouches.prefix, prefix), lt(chunkTouches.touchedAt, cutoff)))
    },
  }
}

async function touchedSince(
  db: Database | Transaction,
  prefix: string,
  cutoff: Date,
): Promise<Set<string>> {
  const rows = await db
    .select({ hashes: chunkTouches.hashes })
    .from(chunkTouches)
    .where(and(eq(chunkTouches.prefix, prefix), gte(chunkTouches.touchedAt, cutoff)))
  const touched = new Set<string>()
  for (const { hashes } of rows)
    for (let start = 0; start < hashes.length; start += KEPT_BYTES)
      touched.add(encodeHex(hashes.subarray(start, start + KEPT_BYTES)))
  return touched
}
