import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { changeJob, type JobRow } from '#server/db/store/store-jobs.ts'
import { alignedBuffer } from '#server/images/store/read-chunk-file.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
} from '#server/images/store/chunk-store.ts'
import { ChunkRefusedError, contentHash } from '#server/images/store/chunk-threads.ts'
import type { DamageCare } from './damage.ts'
import { type JobContext, openStoreJob, type StoreJob } from './store-job.ts'

export interface ScrubOptions {
  db: Database
  store: ChunkStore
  damage: DamageCare
  log: FastifyBaseLogger
  /** From the end of one to the beginning of the next; 0: only when somebody asks. */
  everyHours: number
  /** How fast it reads at most. */
  bytesPerSecond: number
}

/** What is remembered of it, over restarts. */
export interface ScrubState {
  startedAt?: string
  /** The last chunk of the current round that was read; absent or null: none is going on. */
  after?: string | null
  checkedChunks?: number
  checkedBytes?: number
  damagedChunks?: number
  last?: ScrubResult
}

export interface ScrubResult {
  startedAt: string
  finishedAt: string
  checkedChunks: number
  checkedBytes: number
  damagedChunks: number
}

const HOUR_MILLISECONDS = 3_600_000
const SAVE_MILLISECONDS = 10_000

/** Reads every chunk from the medium, again and again, and hashes it, before somebody needs it. */
export function openScrub(options: ScrubOptions): StoreJob {
  const { db, log } = options
  return openStoreJob({
    name: 'scrub',
    db,
    log,
    isDue: (row) => isScrubDue(row, options.everyHours, new Date()),
    work: (context) => scrubStore(options, context),
  })
}

/** An unfinished one goes on; a store that was never scrubbed is due at once. */
export function isScrubDue(
  { requestedAt, state, enabled }: Pick<JobRow, 'requestedAt' | 'state' | 'enabled'>,
  everyHours: number,
  now: Date,
): boolean {
  if (requestedAt) return true
  const { after, last } = state as ScrubState
  if (enabled === false || everyHours === 0) return false
  if (typeof after === 'string' || !last) return true
  return now.getTime() - Date.parse(last.finishedAt) >= everyHours * HOUR_MILLISECONDS
}

async function scrubStore(options: ScrubOptions, context: JobContext): Promise<void> {
  const { db, store, damage, log } = options
  const { signal, save } = context
  const state = context.row.state as ScrubState
  const before = typeof state.after === 'string' ? state : {}
  const progress = {
    startedAt: before.startedAt ?? new Date().toISOString(),
    after: before.after ?? '',
    checkedChunks: before.checkedChunks ?? 0,
    checkedBytes: before.checkedBytes ?? 0,
    damagedChunks: before.damagedChunks ?? 0,
  }
  // Somebody who wanted one gets a whole one, or the rest of that which is going on.
  await changeJob(db, 'scrub', { requestedAt: null })
  await save(progress)
  await damage.heal({ ask: 'all' })
  const buffer = alignedBuffer()
  let savedAt = Date.now()
  try {
    for await (const { hash, storedBytes } of store.list('')) {
      if (hash <= progress.after) continue
      signal.throwIfAborted()
      const started = performance.now()
      const reason = await findDamage(store, hash, buffer)
      if (reason !== undefined) {
        progress.damagedChunks++
        await damage.found(hash, reason)
      }
      progress.after = hash
      progress.checkedChunks++
      progress.checkedBytes += storedBytes
      const due = (storedBytes / options.bytesPerSecond) * 1000 - (performance.now() - started)
      if (due > 0) await sleep(due, undefined, { signal })
      if (Date.now() - savedAt < SAVE_MILLISECONDS) continue
      await save(progress)
      savedAt = Date.now()
    }
    progress.damagedChunks += await damage.findLost(signal)
  } catch (err) {
    await save(progress)
    throw err
  }
  const { after: _after, ...figures } = progress
  const last: ScrubResult = { ...figures, finishedAt: new Date().toISOString() }
  await save({ ...progress, after: null, last })
  log.info(last, 'Every chunk of the store was read')
}

/** Why the chunk is not what its hash says; undefined if it is, or is gone. */
async function findDamage(
  store: ChunkStore,
  hash: Sha256,
  buffer: Uint8Array<SharedArrayBuffer>,
): Promise<string | undefined> {
  try {
    const { bytes } = await store.read(hash, buffer, { fromMedium: true })
    const shared =
      bytes.buffer === buffer.buffer ? buffer.subarray(0, bytes.length) : inShared(buffer, bytes)
    const actual = await contentHash(shared)
    return actual === hash ? undefined : `its content has the hash ${actual}`
  } catch (err) {
    if (err instanceof ChunkMissingError) return undefined
    if (err instanceof ChunkRefusedError || err instanceof ChunkCorruptError) return err.message
    throw err
  }
}

function inShared(
  buffer: Uint8Array<SharedArrayBuffer>,
  bytes: Uint8Array,
): Uint8Array<SharedArrayBuffer> {
  buffer.set(bytes)
  return buffer.subarray(0, bytes.length)
}
