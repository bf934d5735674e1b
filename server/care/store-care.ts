import type { FastifyBaseLogger } from 'fastify'
import { LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { StoreStatus } from '#protocol/store.ts'
import type { ImageLibrary } from '#server/api/library/image-library.ts'
import type { Config } from '#server/config.ts'
import { countLostChunks, listDamagedVersions } from '#server/db/images/damaged-chunks.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { EVENTS_CHANNEL } from '#server/db/events.ts'
import { countRunsByState } from '#server/db/runs/runs.ts'
import { changeJob, getJob, type JobRow } from '#server/db/store/store-jobs.ts'
import { isUploading } from '#server/db/images/uploads.ts'
import { PREFIXES } from '#server/images/store/chunk-store.ts'
import { checkRoomFor, hasRoomToReplace } from '#server/images/store/store-room.ts'
import { openStoreToRead } from '#server/store/open-store.ts'
import { createCompleteImages } from './complete-images.ts'
import { createDamageCare } from './damage.ts'
import { createServerSource, createStoreSource, type HealSource } from './heal-source.ts'
import { migrationOf } from './migrate-job.ts'
import { openRecompression, type RecompressState } from './recompress-job.ts'
import { openScrub, type ScrubState } from './scrub-job.ts'

export interface StoreCareOptions {
  config: Pick<Config, 'care' | 'store' | 'database'>
  database: OpenedDatabase
  library: ImageLibrary
  log: FastifyBaseLogger
}

export interface StoreCare extends AsyncDisposable {
  /** Somebody read a chunk that is not what its image says, or missed one; done when it was looked into. */
  report(hash: Sha256, reason: string): Promise<void>
  /** Somebody got one that may have been spoilt on the way. */
  look(hash: Sha256, reason: string): Promise<void>
  /** How many chunks an image lacks, looked for if they were not just now. Throws StoreUnreachableError. */
  lacking(digest: Sha256): Promise<number>
  /** Names the images whose chunks are gone from the store. Throws StoreUnreachableError. */
  findLost: (signal: AbortSignal) => Promise<number>
  status(): Promise<StoreStatus>
  /** As soon as can be; the answer does not wait for it. */
  scrub(): Promise<void>
  recompress(request: { enabled?: boolean | undefined }): Promise<void>
  /** Throws StoreFullError or DatabaseFullError if there is no room for what a capture brings, however little. */
  checkCapture: () => Promise<void>
}

/** For so long there must have been nothing to do. */
const QUIET_MILLISECONDS = 60_000
/** Whoever uploads or captures is written down once a minute. */
const UPLOAD_MILLISECONDS = 120_000
/** The smallest system in use takes several times as much; what is not known before need not be told. */
const LEAST_CAPTURE_BYTES = 16 * 1024 ** 2
const BUSY_RUNS: ReadonlySet<string> = new Set(['booting', 'running'])
const HOUR_MILLISECONDS = 3_600_000

/** Everything that is done to the store when nobody asks for anything. */
export async function openStoreCare(options: StoreCareOptions): Promise<StoreCare> {
  const { config, database, library, log } = options
  const { db } = database
  const { store, lock } = library
  const { care } = config
  await using opened = new AsyncDisposableStack()
  const source = await openSource(options, opened)
  const damage = createDamageCare({ db, store, lock, source, log })

  async function isIdle(wanted: 'now' | 'later'): Promise<boolean> {
    const { isBusy, lastAt } = library.activity()
    const now = Date.now()
    if (isBusy || (wanted === 'later' && now - lastAt < QUIET_MILLISECONDS)) return false
    if (await isUploading(db, new Date(now - UPLOAD_MILLISECONDS))) return false
    const runs = await countRunsByState(db)
    return !runs.some(({ state, count }) => BUSY_RUNS.has(state) && count > 0)
  }

  const recompression = opened.use(
    openRecompression({
      db,
      store,
      lock,
      log,
      enabled: care.recompress,
      isIdle,
      hasRoom: async () => hasRoomToReplace(await library.room(), LONGEST_STORED_BYTES),
      onDamaged: (hash, reason) => damage.found(hash, reason),
      onRenewed: () => library.sweepSoon(),
    }),
  )
  const scrub = opened.use(
    openScrub({
      db,
      store,
      damage,
      log,
      everyHours: care.scrubHours,
      bytesPerSecond: care.scrubBytesPerSecond,
    }),
  )
  opened.use(
    await database.listen(EVENTS_CHANNEL, (payload) => {
      // A capture or an upload may have brought what was lost, and is something new to look at.
      if (payload !== 'image' && payload !== '') return
      damage
        .heal()
        .catch((err: unknown) => log.error({ err }, 'Lost chunks could not be looked for'))
    }),
  )
  const tellFailure = (hash: Sha256) => (err: unknown) =>
    log.error({ err, hash }, 'A chunk could not be looked into')
  const resources = opened.move()
  return {
    report: (hash, reason) => damage.found(hash, reason).catch(tellFailure(hash)),
    look: (hash, reason) => damage.look(hash, reason).catch(tellFailure(hash)),
    findLost: (signal) => damage.findLost(signal),
    lacking: createCompleteImages({ db, damage, log }),

    async status() {
      const rows = { scrub: await getJob(db, 'scrub'), recompress: await getJob(db, 'recompress') }
      const { usedBytes, ...room } = await library.room()
      const statistics = await library.statistics()
      return {
        ...locationOf(config),
        ...room,
        ...statistics,
        unusedBytes: Math.max(0, usedBytes - statistics.storedBytes),
        damaged: (await listDamagedVersions(db)).map(({ name: _name, ...version }) => version),
        lostChunks: await countLostChunks(db),
        healFrom: source?.name ?? null,
        recompression: recompressionStatus(rows.recompress, care.recompress, new Date()),
        scrub: scrubStatus(rows.scrub, care, new Date()),
        sweptAt: library.activity().sweptAt?.toISOString() ?? null,
        migration: migrationOf(await getJob(db, 'migrate')) ?? null,
      }
    },

    async checkCapture() {
      await database.checkRoom()
      checkRoomFor(await library.room(), LEAST_CAPTURE_BYTES, 'A capture')
    },

    async scrub() {
      await changeJob(db, 'scrub', { requestedAt: new Date() })
      scrub.wake()
    },

    async recompress({ enabled }) {
      await changeJob(db, 'recompress', {
        ...(enabled === undefined ? { requestedAt: new Date() } : { enabled }),
        ...(enabled === false && { requestedAt: null }),
      })
      if (enabled === false) recompression.interrupt()
      recompression.wake()
    },

    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function openSource(
  { config, database }: StoreCareOptions,
  opened: AsyncDisposableStack,
): Promise<HealSource | undefined> {
  const { healFrom } = config.care
  switch (healFrom?.kind) {
    case undefined:
      return undefined
    case 'server':
      return createServerSource(healFrom.url, healFrom.token)
    case 'store': {
      const { kind } = config.database
      const other = opened.use(await openStoreToRead(healFrom.store, { database, kind }))
      return createStoreSource(healFrom.address, other.store)
    }
  }
}

function locationOf({ store }: Pick<Config, 'store'>): Pick<StoreStatus, 'kind' | 'location'> {
  switch (store.kind) {
    case 'folder':
      return { kind: 'folder', location: store.folder }
    case 's3':
      return { kind: 's3', location: store.access.address }
  }
}

const isWorking = ({ claimedUntil }: JobRow, now: Date) =>
  claimedUntil !== null && claimedUntil > now

function recompressionStatus(
  row: JobRow,
  configured: boolean,
  now: Date,
): StoreStatus['recompression'] {
  const state = row.state as RecompressState
  const enabled = row.enabled ?? configured
  return {
    enabled,
    state: recompressionState(row, enabled, now),
    progress: (state.position ?? 0) / PREFIXES.length || (state.finishedAt ? 1 : 0),
    triedChunks: state.triedChunks ?? 0,
    replacedChunks: state.replacedChunks ?? 0,
    savedBytes: state.savedBytes ?? 0,
    finishedAt: state.finishedAt ?? null,
  }
}

function recompressionState(
  row: JobRow,
  enabled: boolean,
  now: Date,
): StoreStatus['recompression']['state'] {
  const { position, finishedAt } = row.state as RecompressState
  if (isWorking(row, now)) return 'working'
  if (row.requestedAt) return 'waiting'
  if (!enabled) return 'off'
  return finishedAt !== undefined && !position ? 'done' : 'waiting'
}

function scrubStatus(row: JobRow, care: Config['care'], now: Date): StoreStatus['scrub'] {
  const state = row.state as ScrubState
  const isOpen = typeof state.after === 'string'
  const figures = isOpen ? state : {}
  const next = state.last && Date.parse(state.last.finishedAt) + care.scrubHours * HOUR_MILLISECONDS
  return {
    state: scrubState(row, care, now),
    // Hashes are spread evenly, so the beginning of the last one tells how far it is.
    progress: isOpen ? Number.parseInt(state.after!.slice(0, 8) || '0', 16) / 2 ** 32 : 0,
    everyHours: care.scrubHours,
    bytesPerSecond: care.scrubBytesPerSecond,
    startedAt: figures.startedAt ?? null,
    checkedChunks: figures.checkedChunks ?? 0,
    checkedBytes: figures.checkedBytes ?? 0,
    damagedChunks: figures.damagedChunks ?? 0,
    nextAt: next !== undefined && care.scrubHours > 0 ? new Date(next).toISOString() : null,
    last: state.last ?? null,
  }
}

function scrubState(row: JobRow, care: Config['care'], now: Date): StoreStatus['scrub']['state'] {
  if (isWorking(row, now)) return 'working'
  return care.scrubHours === 0 && !row.requestedAt ? 'off' : 'waiting'
}
