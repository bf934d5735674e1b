import type { FastifyBaseLogger } from 'fastify'
import type { RetentionRule } from '#protocol/image/image-version.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { type FormRenewal, replacedBefore } from '#server/db/store/form-renewals.ts'
import { pruneLayouts } from '#server/db/images/image-layouts.ts'
import { eachManifest, pruneManifests } from '#server/db/images/image-queries.ts'
import { applyRetention } from '#server/db/images/image-retention.ts'
import { pruneLinks } from '#server/db/images/links.ts'
import { findNewerRelease } from '#server/db/newer-release.ts'
import { getJob } from '#server/db/store/store-jobs.ts'
import {
  endUpload,
  isExport,
  isRead,
  listLongExports,
  listOpenUploads,
  listReads,
  type OpenUpload,
} from '#server/db/images/uploads.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import { sweepChunks } from '#server/images/sweep/sweep.ts'
import { ConflictError } from '../http/errors.ts'
import type { ImageExports } from './image-exports.ts'
import type { ImageStatistics } from './image-statistics.ts'
import type { SweepClock } from './sweep-clock.ts'

export interface ImageSweeps extends AsyncDisposable {
  /**
   * Removes the chunks that nothing needs; how many those were. Throws ConflictError once a newer release has
   * started on the database.
   */
  sweep(): Promise<number>
  /** The same in the background. */
  sweepSoon(): void
  /** Resolves when the next sweep has counted what images share. */
  nextCount(): Promise<void>
  /** When the last one that came to its end began. */
  sweptAt(): Date | undefined
}

export interface ImageSweepsOptions {
  db: Database
  store: ChunkStore
  lock: CommitLock
  exports: ImageExports
  statistics: ImageStatistics
  clock: SweepClock
  /** Which versions of an image are kept, if nothing else was said of it. */
  retention: RetentionRule
  /** A sweep begins; what this gives is called once all chunks that were put before belong to images. */
  onSweep?: (() => () => void) | undefined
  /** Of an export in hand another server may not know yet: what was replaced stays this long at least. */
  replacedGraceSeconds?: number | undefined
  log: FastifyBaseLogger
  /** When links expire. All else goes by the clock of the store's file system. */
  now: () => Date
}

const SWEEP_MILLISECONDS = 3_600_000
/** Longer than exports take to be known to all servers. */
const REPLACED_GRACE_SECONDS = 600

/** Everything that is over goes: uploads, links, versions, manifests, layouts, and then the chunks. */
export function openImageSweeps(options: ImageSweepsOptions): ImageSweeps {
  const { db, store, lock, exports, clock, retention, log, now } = options
  let sweeping: Promise<unknown> = Promise.resolve()
  let isQueued = false
  let isClosed = false
  let sweptAt: Date | undefined
  let counted = Promise.withResolvers<void>()

  /** One at a time: the cutoff is taken when it begins. */
  function sweep(): Promise<number> {
    const done = sweeping.then(async () => {
      const newer = await findNewerRelease(db)
      if (newer !== undefined) throw new ConflictError(newer, 'newer-release')
      const started = new Date()
      const onSwept = options.onSweep?.()
      const oldest = await oldestUpload(started)
      if (!oldest) clock.forget()
      const begun = earlier(oldest, started)
      // Looked at for each part: while the sweep goes on the clock may be set, and an upload begin on a server
      // whose clock is behind ours.
      const cutoff = async () => clock.earliest(earlier(await oldestStart(), begun))
      await pruneLinks(db, now())
      await applyRetention(db, retention, { now: now(), today: new Date() })
      // A commit may be about to name a manifest that nothing needs yet.
      await lock.exclusive(async () => pruneManifests(db, await heldDigests(), now()))
      await count()
      const manifests = (known: ReadonlySet<Sha256>) => eachManifest(db, known)
      const exclusively: CommitLock['exclusive'] = (work) => lock.exclusive(work)
      const replaced = await replacedCutoff(started)
      if (replaced) await pruneLayouts(db, replaced)
      const cutoffs = { cutoff, replacedCutoff: replaced }
      const removed = await sweepChunks({ store, exclusively, manifests, ...cutoffs })
      sweptAt = started
      if (!oldest) onSwept?.()
      if (removed > 0) log.info({ removed }, 'Swept chunks that no image needs')
      return removed
    })
    sweeping = done.catch(() => {})
    return done
  }

  /** Of images that are read or sent, whether or not they still have a name. */
  async function heldDigests(): Promise<Sha256[]> {
    const longExports = (await listLongExports(db)).map(({ digest }) => digest)
    return [...new Set([...exports.digests(), ...longExports, ...(await listReads(db))])]
  }

  /** When the oldest open upload began; those that nobody goes on with are ended first. */
  async function oldestUpload(now: Date): Promise<Date | undefined> {
    const open = await listOpenUploads(db)
    const over = new Set(clock.over(open, now))
    for (const upload of over) await endUpload(db, upload)
    return startOf(open.filter((upload) => !over.has(upload)))
  }

  async function oldestStart(): Promise<Date | undefined> {
    return startOf(await listOpenUploads(db))
  }

  /** Before it, what was replaced is read by nobody any more. */
  async function replacedCutoff(now: Date): Promise<Date | undefined> {
    const { renewals = [] } = (await getJob(db, 'recompress')).state as { renewals?: FormRenewal[] }
    const long = (await listLongExports(db)).map(({ startedAt }) => startedAt.getTime())
    const grace = (options.replacedGraceSeconds ?? REPLACED_GRACE_SECONDS) * 1000
    const oldest = exports.oldestStart()?.getTime() ?? Infinity
    // One that began before a renewal names forms that were replaced long before both.
    return replacedBefore(renewals, new Date(Math.min(now.getTime() - grace, oldest, ...long)))
  }

  async function count(): Promise<void> {
    const { resolve } = counted
    counted = Promise.withResolvers()
    await options.statistics
      .count()
      .catch((err: unknown) => log.error({ err }, 'Failed to count what images share'))
    resolve()
  }

  function sweepSoon(): void {
    if (isQueued) return
    isQueued = true
    void sweeping.then(() => {
      isQueued = false
      // Database and store may be closed by now.
      if (isClosed) return
      sweep().catch((err: unknown) => log.error({ err }, 'Failed to sweep the chunk store'))
    })
  }

  const timer = setInterval(sweepSoon, SWEEP_MILLISECONDS)

  return {
    sweep,
    sweepSoon,
    nextCount: () => counted.promise,
    sweptAt: () => sweptAt,

    async [Symbol.asyncDispose]() {
      isClosed = true
      clearInterval(timer)
      await sweeping
    },
  }
}

/** Of the oldest that stores chunks. */
function startOf(open: readonly OpenUpload[]): Date | undefined {
  const storesChunks = (upload: OpenUpload) => !isExport(upload) && !isRead(upload)
  const starts = open.filter(storesChunks).map(({ startedAt }) => startedAt)
  return starts.toSorted((a, b) => a.getTime() - b.getTime())[0]
}

function earlier(one: Date | undefined, other: Date): Date {
  return one && one < other ? one : other
}
