import type { FastifyBaseLogger } from 'fastify'
import type { Sha256 } from '#protocol/sha256.ts'
import { createSharedCalls } from '#server/api/http/shared-calls.ts'
import { countDamage } from '#server/db/images/damage-count.ts'
import type { Database } from '#server/db/database.ts'
import { StoreUnreachableError } from '#server/images/store/chunk-store.ts'
import type { DamageCare } from './damage.ts'

export interface CompleteImagesOptions {
  db: Database
  damage: Pick<DamageCare, 'findLostOf' | 'heal'>
  log: FastifyBaseLogger
  lookMilliseconds?: number
  /** A clock that nobody sets. */
  steady?: () => number
}

/**
 * A machine that waits for its image is not kept waiting for longer. What a larger image lacks is found when a
 * machine asks for it, or by the check of all chunks.
 */
const LOOK_MILLISECONDS = 10_000
/** A hundred machines that are deployed together look once. */
const KEPT_MILLISECONDS = 600_000
const MAX_KEPT = 1024

/**
 * How many chunks an image lacks that a machine is about to be given: one that begins to write and then finds
 * one missing has lost what was on its disk for nothing. Throws StoreUnreachableError.
 */
export function createCompleteImages({
  db,
  damage,
  log,
  lookMilliseconds = LOOK_MILLISECONDS,
  steady = () => performance.now(),
}: CompleteImagesOptions): (digest: Sha256) => Promise<number> {
  const lookedAt = new Map<Sha256, number>()
  const looks = createSharedCalls<void>()

  async function look(digest: Sha256, isLacking: boolean): Promise<void> {
    const signal = AbortSignal.timeout(lookMilliseconds)
    try {
      // Of those that were lost, somebody may have brought files back.
      if (isLacking) await damage.heal()
      else await damage.findLostOf(digest, signal)
    } catch (err) {
      // It is waited for. Nothing else, a full database say, is a reason not to deploy.
      if (err instanceof StoreUnreachableError) throw err
      if (signal.aborted)
        log.info({ digest }, 'An image is too large to look for all of its chunks')
      else log.warn({ err, digest }, 'Chunks of an image could not be looked for')
    }
  }

  const lacking = async (digest: Sha256) => (await countDamage(db, [digest])).get(digest) ?? 0

  return async (digest) => {
    const known = await lacking(digest)
    const last = lookedAt.get(digest) ?? -Infinity
    if (known === 0 && steady() - last < KEPT_MILLISECONDS) return 0
    await looks(digest, () => look(digest, known > 0))
    const left = await lacking(digest)
    if (lookedAt.size >= MAX_KEPT) lookedAt.clear()
    if (left === 0) lookedAt.set(digest, steady())
    return left
  }
}
