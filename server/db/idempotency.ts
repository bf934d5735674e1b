import { and, eq, lt } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from './database.ts'
import { idempotencyKeys } from './schema.ts'

export interface IdempotencyKey {
  /** Whose key it is: two callers may use the same one. */
  principal: string
  key: string
}

/** What was answered. A body of null: it held a secret, and was not kept. */
export interface KeptAnswer {
  status: number
  headers: Record<string, string>
  body: string | null
}

export type Reservation =
  /** The caller is the first: answer, then `keepAnswer` or `releaseKey`. */
  | { kind: 'reserved' }
  | { kind: 'in-flight' }
  | { kind: 'other-request' }
  | { kind: 'answered'; answer: KeptAnswer }

/** Whoever is not done by now died: no JSON call takes so long. */
const IN_FLIGHT_SECONDS = 120
const KEPT_SECONDS = 24 * 3600

function ofKey({ principal, key }: IdempotencyKey) {
  return and(eq(idempotencyKeys.principal, principal), eq(idempotencyKeys.key, key))
}

/** Takes the key for a request, or tells what became of the one that took it before. */
export async function reserveKey(
  db: Database,
  id: IdempotencyKey,
  requestHash: Sha256,
  now: Date,
): Promise<Reservation> {
  return db.transaction(async (tx) => {
    const fresh = { status: null, headers: null, body: null, createdAt: now, requestHash }
    const inserted = await tx
      .insert(idempotencyKeys)
      .values({ ...id, ...fresh })
      .onConflictDoNothing()
      .returning({ key: idempotencyKeys.key })
    if (inserted.length > 0) return { kind: 'reserved' }
    const [row] = await tx.select().from(idempotencyKeys).where(ofKey(id)).for('update')
    if (!row) return { kind: 'in-flight' } // released this moment; the caller comes again
    const ageSeconds = (now.getTime() - row.createdAt.getTime()) / 1000
    if (ageSeconds >= (row.status === null ? IN_FLIGHT_SECONDS : KEPT_SECONDS)) {
      await tx.update(idempotencyKeys).set(fresh).where(ofKey(id))
      return { kind: 'reserved' }
    }
    if (row.requestHash !== requestHash) return { kind: 'other-request' }
    if (row.status === null) return { kind: 'in-flight' }
    const { status, headers, body } = row
    return { kind: 'answered', answer: { status, headers: headers ?? {}, body } }
  })
}

export async function keepAnswer(
  db: Database,
  id: IdempotencyKey,
  answer: KeptAnswer,
): Promise<void> {
  await db.update(idempotencyKeys).set(answer).where(ofKey(id))
}

/** Nothing came of the request: it may come again under the same key. */
export async function releaseKey(db: Database, id: IdempotencyKey): Promise<void> {
  await db.delete(idempotencyKeys).where(ofKey(id))
}

/** Forgets answers that nobody may ask for any more. */
export async function pruneIdempotencyKeys(db: Database, now: Date): Promise<void> {
  const limit = new Date(now.getTime() - KEPT_SECONDS * 1000)
  await db.delete(idempotencyKeys).where(lt(idempotencyKeys.createdAt, limit))
}
