import type { FastifyBaseLogger } from 'fastify'
import type { LackingVersion, MigrationRequest, StoreMigration } from '#protocol/store-migration.ts'
import { ConflictError, NotFoundError, UnprocessableError } from '#server/api/http/errors.ts'
import { type Config, ConfigError } from '#server/config.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { changeJob, getJob, type JobRow, saveJobState } from '#server/db/store/store-jobs.ts'
import { type ChunkStore, PREFIXES, StoreFullError } from '#server/images/store/chunk-store.ts'
import { type CopyProgress, copyStore } from '#server/images/store/copy-store.ts'
import {
  limitStore,
  measureRoom,
  type StoreRoom,
  tellLimits,
} from '#server/images/store/store-room.ts'
import { openStore, refuseOverlap, refuseStrangers } from '#server/store/open-store.ts'
import { ServiceError } from '#server/service-error.ts'
import { storeAddress, type StoreConfig } from '#server/settings/store-config.ts'
import { findLacking } from './lacking-versions.ts'
import { type JobContext, openStoreJob } from './store-job.ts'

export interface MigrationOptions {
  config: Pick<Config, 'store' | 'storeAt' | 'database'>
  database: OpenedDatabase
  store: ChunkStore
  /** Names the images whose chunks are gone from it. Throws StoreUnreachableError. */
  findLost: (signal: AbortSignal) => Promise<unknown>
  log: FastifyBaseLogger
}

export interface StoreMigrations extends AsyncDisposable {
  /** The last that was asked for. Throws NotFoundError if there was none. */
  get(): Promise<StoreMigration>
  /** Throws UnprocessableError if it cannot be copied there, ConflictError if one elsewhere goes on. */
  start(request: MigrationRequest): Promise<StoreMigration>
  cancel(): Promise<StoreMigration>
}

/** What is remembered of it, over restarts. */
type MigrationState = {
  from: string
  to: string
  verify: boolean
  startedAt: string
  /** How many of the 256 prefixes are done. */
  position: number
  seenChunks: number
  copiedChunks: number
  copiedBytes: number
  damagedChunks: number
  /** Not of one that was done by a release before. */
  lostChunks?: number
  lacking?: LackingVersion[]
  finishedAt: string | null
  error: string | null
  retryAt: string | null
}

const SAVE_MILLISECONDS = 1000
const RETRY_MILLISECONDS = 15_000

/** Copies the store to another one, in the background of one server, until all of it is there. */
export function openStoreMigrations(options: MigrationOptions): StoreMigrations {
  const { config, database, store, findLost, log } = options
  const { db } = database
  const from = storeAddress(config.store)

  const job = openStoreJob({
    name: 'migrate',
    db,
    log,
    isDue: ({ requestedAt, state }) => requestedAt !== null && isTime(state as MigrationState),
    work: migrate,
  })

  /** Throws UnprocessableError. */
  function parseTarget(to: string): StoreConfig {
    try {
      return config.storeAt(to)
    } catch (err) {
      if (err instanceof ConfigError) throw new UnprocessableError(err.message, 'refused-store')
      throw err
    }
  }

  async function openTarget(to: string) {
    const { kind } = config.database
    const target = parseTarget(to)
    await refuseOverlap(config.store, target)
    if (target.kind === 'folder') await refuseStrangers(target.folder)
    return await openStore(target, { database, kind })
  }

  async function migrate({ row, signal, save }: JobContext): Promise<void> {
    const state = row.state as MigrationState
    const before = { ...state }
    let last = before
    let savedAt = Date.now()
    const cancelled = new AbortController()
    let room: StoreRoom | undefined

    async function onProgress(progress: CopyProgress): Promise<void> {
      last = added(before, progress)
      if (Date.now() - savedAt < SAVE_MILLISECONDS) return
      savedAt = Date.now()
      await save(last)
      // Another server may have been told to give it up.
      if (!(await getJob(db, 'migrate')).requestedAt) cancelled.abort()
    }

    try {
      await using target = await openTarget(state.to)
      // What else lies on its disk, such as our database, needs the reserve here, too.
      const measure = async () =>
        (room = measureRoom({ ...(await target.size()), quotaBytes: undefined, usedBytes: 0 }))
      const to = limitStore(target.store, measure).store
      await save({ ...before, error: null, retryAt: null })
      const copied = await copyStore({
        from: store,
        to,
        verify: state.verify,
        position: state.position,
        signal: AbortSignal.any([signal, cancelled.signal]),
        onProgress,
      })
      last = added(before, copied)
      await findLost(signal)
      const lost = await findLacking(db, [target.store, store], signal)
      const finishedAt = new Date().toISOString()
      const done = { ...last, ...lost, error: null, retryAt: null, finishedAt }
      await save(done)
      await changeJob(db, 'migrate', { requestedAt: null })
      log.info(done, 'The chunk store was copied')
    } catch (err) {
      if (cancelled.signal.aborted) return
      if (signal.aborted) return await save(last)
      log.error({ err, to: state.to }, 'The chunk store could not be copied; it is tried again')
      const error = failureText(err, state.to, room)
      const retryAt = new Date(Date.now() + RETRY_MILLISECONDS).toISOString()
      await save({ ...last, error, retryAt })
    }
  }

  async function get(): Promise<StoreMigration> {
    const found = migrationOf(await getJob(db, 'migrate'))
    if (!found) throw new NotFoundError('The store was not copied to another one yet')
    return found
  }

  return {
    get,

    async start({ to, verify = false }) {
      const target = storeAddress(parseTarget(to))
      if (target === from)
        throw new UnprocessableError(`The chunks are in ${target} already`, 'refused-store')
      const row = await getJob(db, 'migrate')
      const current = row.state as Partial<MigrationState>
      if (row.requestedAt && current.to !== target)
        throw new ConflictError(
          `The store is being copied to ${current.to}; wait for it, or cancel it first`,
          'migration-active',
        )
      if (row.requestedAt) return await get()
      await using _opened = await openTarget(to).catch((err: unknown) => {
        if (err instanceof ServiceError) throw new UnprocessableError(err.message, 'refused-store')
        throw err
      })
      await saveJobState(db, 'migrate', {
        from,
        to: target,
        verify,
        startedAt: new Date().toISOString(),
        position: 0,
        seenChunks: 0,
        copiedChunks: 0,
        copiedBytes: 0,
        damagedChunks: 0,
        finishedAt: null,
        error: null,
        retryAt: null,
      } satisfies MigrationState)
      await changeJob(db, 'migrate', { requestedAt: new Date() })
      job.wake()
      return await get()
    },

    async cancel() {
      await changeJob(db, 'migrate', { requestedAt: null })
      job.interrupt()
      return await get()
    },

    [Symbol.asyncDispose]: () => job[Symbol.asyncDispose](),
  }
}

function failureText(err: unknown, to: string, room: StoreRoom | undefined): string {
  // Its own words are of images that might be deleted, which makes no room there.
  if (err instanceof StoreFullError) {
    const limits = room && tellLimits(room)
    return `${to} is full${limits ? `: ${limits}` : ''}; make room there`
  }
  return err instanceof Error ? err.message : String(err)
}

function isTime({ retryAt }: MigrationState): boolean {
  return !retryAt || Date.parse(retryAt) <= Date.now()
}

/** Of this copy and what was done before it was interrupted. Chunks of an unfinished prefix count again. */
function added(before: MigrationState, progress: CopyProgress): MigrationState {
  return {
    ...before,
    position: progress.position,
    seenChunks: before.seenChunks + progress.seenChunks,
    copiedChunks: before.copiedChunks + progress.copiedChunks,
    copiedBytes: before.copiedBytes + progress.copiedBytes,
    damagedChunks: before.damagedChunks + progress.damagedChunks,
  }
}

/** Undefined if nobody asked for one yet. */
export function migrationOf({
  state,
  requestedAt,
  claimedUntil,
}: JobRow): StoreMigration | undefined {
  const { position, retryAt: _retryAt, ...known } = state as MigrationState
  if (known.to === undefined) return undefined
  const isWorking = claimedUntil !== null && claimedUntil > new Date()
  return {
    ...known,
    lostChunks: known.lostChunks ?? 0,
    lacking: known.lacking ?? [],
    state: known.finishedAt
      ? 'done'
      : !requestedAt
        ? 'cancelled'
        : isWorking
          ? 'working'
          : 'waiting',
    progress: known.finishedAt ? 1 : position / PREFIXES.length,
  }
}
