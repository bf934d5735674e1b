import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { type FormRenewal, withRenewal } from '#server/db/store/form-renewals.ts'
import { listCountable } from '#server/db/images/image-shares.ts'
import {
  changeJob,
  getJob,
  type JobRow,
  loadRecompressed,
  recompressedKey,
  saveRecompressed,
} from '#server/db/store/store-jobs.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  type ListedChunk,
  PREFIXES,
  StoreFullError,
} from '#server/images/store/chunk-store.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import { RECOMPRESS_LEVEL, Recompressor } from '#server/images/store/recompressor.ts'
import { renewForms } from './renew-forms.ts'
import { type JobContext, openStoreJob, type StoreJob } from './store-job.ts'

export interface RecompressOptions {
  db: Database
  store: ChunkStore
  lock: CommitLock
  log: FastifyBaseLogger
  /** As configured; what was chosen later goes before it. */
  enabled: boolean
  /** Whether nothing else has anything to do, and had for a while unless it is wanted at once. */
  isIdle: (wanted: 'now' | 'later') => Promise<boolean>
  /** Whether the store can take another form of any chunk beside the one that it has. */
  hasRoom: () => Promise<boolean>
  /** The chunk is not what its hash says. */
  onDamaged: (hash: Sha256, reason: string) => Promise<void>
  /** Layouts are other ones now. */
  onRenewed: () => void
}

/** What is remembered of it, over restarts. */
export interface RecompressState {
  /** How many of the 256 prefixes of the current round are done. */
  position?: number
  triedChunks?: number
  replacedChunks?: number
  /** Of all that was ever replaced. */
  savedBytes?: number
  /** Of which contents, in which forms, the last round was. */
  doneOf?: string
  finishedAt?: string
  /** When layouts were renewed, the latest last. */
  renewals?: FormRenewal[]
  /** Some that are may have been replaced since. */
  isUnrenewed?: boolean
}

/** As many forms are kept twice before layouts are renewed; each renewal reads all segments. */
const MAX_UNRENEWED = 16_384
const SAVE_MILLISECONDS = 30_000
const LOOK_FOR_OTHERS_MILLISECONDS = 1000
/** S3 does not say how much room it has: each look costs a try, and a sweep that lists the whole store. */
const FULL_MILLISECONDS = 600_000

/**
 * Stores chunks in fewer bytes when there is nothing else to do. Goes by the prefix of hashes and
 * remembers each chunk that it is done with, so that none is tried twice, whatever happens.
 */
export function openRecompression(options: RecompressOptions): StoreJob {
  const { db, log } = options
  let full: { at: number; requestedAt: Date | null } | undefined
  /** Until then nothing is tried, unless somebody asks for it anew. */
  const isFull = ({ requestedAt }: JobRow) =>
    full !== undefined &&
    performance.now() - full.at < FULL_MILLISECONDS &&
    requestedAt?.getTime() === full.requestedAt?.getTime()
  return openStoreJob({
    name: 'recompress',
    db,
    log,
    isDue: async (row) => (await isDue(options, row)) && !isFull(row),
    async work(context) {
      const { requestedAt } = context.row
      const hadRoom = await recompressStore(options, context)
      full = hadRoom ? undefined : { at: performance.now(), requestedAt }
    },
  })
}

async function isDue(options: RecompressOptions, row: JobRow): Promise<boolean> {
  if (!isWanted(options, row)) return false
  const { doneOf, isUnrenewed, position } = row.state as RecompressState
  if (!row.requestedAt && !isUnrenewed && !position && doneOf === (await contentsOf(options.db)))
    return false
  if (!(await options.isIdle(row.requestedAt ? 'now' : 'later'))) return false
  return isUnrenewed || options.hasRoom()
}

function isWanted({ enabled }: RecompressOptions, row: JobRow): boolean {
  return (row.enabled ?? enabled) || row.requestedAt !== null
}

async function contentsOf(db: Database): Promise<string> {
  const digests = (await listCountable(db)).map(({ digest }) => digest)
  return createHash('sha256').update(`${RECOMPRESS_LEVEL} ${digests.join()}`).digest('hex')
}

/** False if the store had no room for a single form. */
async function recompressStore(options: RecompressOptions, context: JobContext): Promise<boolean> {
  const { db } = options
  await using recompressor = new Recompressor()
  const idle = new AbortController()
  const { row } = context
  const watching = watch(options, row.requestedAt ? 'now' : 'later', idle)
  const signal = AbortSignal.any([context.signal, idle.signal])
  // Not after the chunk in hand: whoever needs the processor needs it now.
  signal.addEventListener('abort', () => void recompressor.stop())
  const round = new Round(options, { ...context, signal }, recompressor)
  try {
    const of = await contentsOf(db)
    await round.renewLeft()
    const { replacedChunks } = round.state
    const isDone = await round.recompressAll()
    // Where there was no room for more, the old forms took it: once no layout names them, they go.
    await round.renew()
    if (!isDone) return round.state.replacedChunks !== replacedChunks
    const finishedAt = new Date().toISOString()
    await context.save({ ...round.state, position: 0, doneOf: of, finishedAt })
    await changeJob(db, 'recompress', { requestedAt: null })
  } catch (err) {
    if (!signal.aborted) throw err
  } finally {
    idle.abort()
    await watching
  }
  return true
}

async function watch(
  options: RecompressOptions,
  wanted: 'now' | 'later',
  idle: AbortController,
): Promise<void> {
  const { signal } = idle
  while (!signal.aborted) {
    await sleep(LOOK_FOR_OTHERS_MILLISECONDS, undefined, { signal, ref: false }).catch(() => {})
    if (signal.aborted) return
    if (!(await mayGoOn(options, wanted).catch(() => false))) idle.abort()
  }
}

async function mayGoOn(options: RecompressOptions, wanted: 'now' | 'later'): Promise<boolean> {
  // Another server may have been told to turn it off.
  return isWanted(options, await getJob(options.db, 'recompress')) && options.isIdle(wanted)
}

/** One time through the whole store, maybe in parts. */
class Round {
  readonly #options: RecompressOptions
  readonly #context: JobContext
  readonly #recompressor: Recompressor
  /** Chunks that have another form than layouts say. */
  #replaced = new Set<Sha256>()
  #savedAt = Date.now()
  readonly state: RecompressState

  constructor(options: RecompressOptions, context: JobContext, recompressor: Recompressor) {
    this.#options = options
    this.#context = context
    this.#recompressor = recompressor
    this.state = { ...(context.row.state as RecompressState) }
  }

  /** False if the store had no room for another form. */
  async recompressAll(): Promise<boolean> {
    try {
      for (let at = this.state.position ?? 0; at < PREFIXES.length; at++)
        await this.#recompressPrefix(at)
      return true
    } catch (err) {
      if (!(err instanceof StoreFullError)) throw err
      this.#options.log.warn({ err }, 'Recompression waits for room in the store')
      return false
    }
  }

  async #recompressPrefix(at: number): Promise<void> {
    const { db, store } = this.#options
    const prefix = PREFIXES[at]!
    const tried = await loadRecompressed(db, prefix, RECOMPRESS_LEVEL)
    const present = new Set<string>()
    try {
      for await (const chunk of store.list(prefix)) {
        this.#context.signal.throwIfAborted()
        const key = recompressedKey(chunk.hash)
        present.add(key)
        if (tried.has(key)) continue
        if (await this.#recompress(chunk)) tried.add(key)
        if (this.#replaced.size >= MAX_UNRENEWED) await this.renew()
        if (Date.now() - this.#savedAt < SAVE_MILLISECONDS) continue
        await saveRecompressed(db, prefix, RECOMPRESS_LEVEL, tried)
        await this.#save()
      }
    } catch (err) {
      await saveRecompressed(db, prefix, RECOMPRESS_LEVEL, tried)
      await this.#save()
      throw err
    }
    // Those that are gone need not be remembered.
    await saveRecompressed(db, prefix, RECOMPRESS_LEVEL, tried.intersection(present))
    this.state.position = at + 1
    await this.#save()
  }

  async #save(): Promise<void> {
    this.#savedAt = Date.now()
    await this.#context.save({ ...this.state })
  }

  /** True if it need not be tried again. */
  async #recompress({ hash }: ListedChunk): Promise<boolean> {
    const { store, log, onDamaged } = this.#options
    const stored = await store.read(hash).catch(async (err: unknown) => {
      if (err instanceof ChunkCorruptError) await onDamaged(hash, err.message)
      else if (!(err instanceof ChunkMissingError)) throw err
    })
    if (!stored) return false
    const answer = await this.#recompressor.recompress(hash, stored)
    this.#context.signal.throwIfAborted()
    switch (answer.kind) {
      case 'damaged':
        await onDamaged(hash, answer.reason)
        return false
      case 'smaller':
        if (!this.state.isUnrenewed) {
          this.state.isUnrenewed = true
          await this.#save()
        }
        if (!(await store.replace(hash, answer.bytes))) return false
        this.#replaced.add(hash)
        this.state.replacedChunks = (this.state.replacedChunks ?? 0) + 1
        this.state.savedBytes =
          (this.state.savedBytes ?? 0) + stored.bytes.length - answer.bytes.length
        break
      case 'failed':
        // It stays as it is, and keeps nobody from those that follow.
        log.warn({ hash, reason: answer.reason }, 'A chunk could not be recompressed')
        break
      case 'kept':
        break
    }
    this.state.triedChunks = (this.state.triedChunks ?? 0) + 1
    return true
  }

  /** What was replaced before a crash, or before something else began. */
  async renewLeft(): Promise<void> {
    if (!this.state.isUnrenewed) return
    for await (const { hash, codec, replaced } of this.#options.store.list('')) {
      this.#context.signal.throwIfAborted()
      if (replaced.length > 0 && codec) this.#replaced.add(hash)
      if (this.#replaced.size >= MAX_UNRENEWED) await this.#renewSome()
    }
    await this.renew()
  }

  async #renewSome(): Promise<void> {
    const { db, store, lock } = this.#options
    const { signal } = this.#context
    await renewForms({ db, store, lock, hashes: [...this.#replaced], signal })
    this.#replaced.clear()
  }

  async renew(): Promise<void> {
    const begunAt = new Date().toISOString()
    await this.#renewSome()
    this.state.isUnrenewed = false
    const renewal = { begunAt, doneAt: new Date().toISOString() }
    this.state.renewals = withRenewal(this.state.renewals ?? [], renewal)
    await this.#save()
    this.#options.onRenewed()
  }
}
