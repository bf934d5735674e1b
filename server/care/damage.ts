import type { FastifyBaseLogger } from 'fastify'
import pLimit from 'p-limit'
import { decodeSegment, HASH_BYTES, isStored } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { clearDamage, listDamage, saveDamage } from '#server/db/images/damaged-chunks.ts'
import { eachManifest } from '#server/db/images/image-queries.ts'
import { parseManifest } from '#server/images/commit/check-image.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import { readContent, verifiedContent } from '#server/images/store/chunk-codec.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
  ifLost,
} from '#server/images/store/chunk-store.ts'
import type { HealSource } from './heal-source.ts'
import { findGaps, findLostChunks, saveIfLost } from './lost-chunks.ts'
import { renewForms } from './renew-forms.ts'

export interface DamageOptions {
  db: Database
  store: ChunkStore
  lock: CommitLock
  /** Another store that may have what is lost. */
  source: HealSource | undefined
  log: FastifyBaseLogger
}

export interface DamageCare {
  /** Sets a rotten chunk aside and names the images that had it, or miss it; brings it again if anybody has it. */
  found(hash: Sha256, reason: string): Promise<void>
  /** The same, if it is rotten after all. Cheap if it is whole. */
  look(hash: Sha256, reason: string): Promise<void>
  /**
   * Names the images that have chunks which are not in the store at all, and brings those again if anybody has them;
   * how many that were not known of.
   */
  findLost(signal: AbortSignal): Promise<number>
  /**
   * The same of one image alone, and of files that cannot be whole chunks; what was found until the signal is kept.
   * Its layouts name the forms that its chunks have.
   */
  findLostOf(digest: Sha256, signal: AbortSignal): Promise<void>
  /** Looks for lost chunks that came again; how many are back. */
  heal(options?: HealOptions): Promise<number>
}

export interface HealOptions {
  /** The other store, if there is one: for all that is lost, or these. */
  ask?: 'all' | ReadonlySet<Sha256>
}

/** What is done about chunks that the medium did not keep. */
export function createDamageCare({ db, store, lock, source, log }: DamageOptions): DamageCare {
  let healing: Promise<unknown> = Promise.resolve()
  const lost = { db, store, lock, log }
  /** Of two that find the same chunk, the second finds what came of the first. */
  const inTurn = pLimit(1)

  async function found(hash: Sha256, reason: string): Promise<void> {
    const state = await settle(hash, reason)
    // Whoever found it read it a while ago, or took another form for it than its images name.
    if (state === 'whole') await renewAround(hash)
    if (state === 'gone') await missed(hash)
  }

  /** The chunk, and whatever else of its images has another form than they name: in a restored store that is many. */
  async function renewAround(hash: Sha256): Promise<void> {
    const hashes = new Set([hash])
    for (const digest of await imagesWith(hash)) {
      const { reshaped } = await findGaps({ db, store }, digest, new AbortController().signal)
      for (const each of reshaped) hashes.add(each)
    }
    await renewForms({ db, store, lock, hashes: [...hashes] })
  }

  async function look(hash: Sha256, reason: string): Promise<void> {
    await settle(hash, reason)
  }

  /** What it is; one that was damaged is set aside. */
  async function settle(hash: Sha256, reason: string): Promise<State> {
    const state = await inTurn(async () => {
      const seen = await stateOf(store, hash)
      return seen !== 'damaged' || (await store.quarantine(hash)) ? seen : 'whole'
    })
    if (state !== 'damaged') return state
    const digests = await imagesWith(hash)
    const images = await saveDamage(db, digests, { hash, reason, foundAt: new Date() })
    log.error({ hash, reason, images }, 'A chunk was damaged in the store and set aside')
    await heal({ ask: new Set([hash]) })
    return state
  }

  /** A hundred machines may miss the same. */
  async function missed(hash: Sha256): Promise<void> {
    await inTurn(async () => {
      if ((await listDamage(db)).some((one) => one.hash === hash)) return
      for (const digest of await imagesWith(hash)) await saveIfLost(lost, digest, [hash])
    })
    await heal({ ask: new Set([hash]) })
  }

  async function findLost(signal: AbortSignal): Promise<number> {
    const hashes = await findLostChunks(lost, signal)
    if (hashes.size > 0) await heal({ ask: hashes })
    return hashes.size
  }

  async function findLostOf(digest: Sha256, signal: AbortSignal): Promise<void> {
    const { absent, reshaped } = await findGaps(lost, digest, signal)
    await renewForms({ db, store, lock, hashes: reshaped })
    const gone = new Set(await saveIfLost(lost, digest, absent, signal))
    if (gone.size > 0) await heal({ ask: gone })
    signal.throwIfAborted()
    for (const hash of absent) {
      signal.throwIfAborted()
      if (!gone.has(hash)) await settle(hash, 'its file is no whole chunk')
    }
  }

  async function imagesWith(hash: Sha256): Promise<Sha256[]> {
    const digests: Sha256[] = []
    for await (const { digest, manifest } of eachManifest(db))
      if (await hasChunk(manifest, hash)) digests.push(digest)
    return digests
  }

  async function hasChunk(manifest: Uint8Array, hash: Sha256): Promise<boolean> {
    for (const text of parseManifest(manifest).segments) {
      if (text === null) continue
      if (text === hash) return true
      const content = await readContent(store, parseSha256(text)).catch(ifLost)
      if (content && decodeSegment(content).includes(hash)) return true
    }
    return false
  }

  function heal({ ask = new Set() }: HealOptions = {}): Promise<number> {
    const healed = healing.then(() => healNow(ask))
    healing = healed.catch(() => {})
    return healed
  }

  async function healNow(ask: NonNullable<HealOptions['ask']>): Promise<number> {
    const damage = await listDamage(db)
    if (damage.length === 0) return 0
    const lost = [...new Set(damage.map(({ hash }) => hash))]
    const asked = ask === 'all' ? lost : lost.filter((hash) => ask.has(hash))
    if (source) await fetchMissing(asked, source)
    const returned = await findWhole(lost)
    if (returned.size === 0) return 0
    const always = new Set(
      damage.filter(({ hash }) => returned.has(hash)).map(({ digest }) => digest),
    )
    // A segment that came again may name chunks that were replaced while nobody could read it.
    const hashes = [...returned].flatMap(([hash, chunks]) => [hash, ...chunks])
    await renewForms({ db, store, lock, hashes, always })
    const images = await clearDamage(db, [...returned.keys()])
    log.info({ chunks: returned.size, images }, 'Chunks that were damaged are in the store again')
    return returned.size
  }

  /** Those that are what they should be; of a segment, with the chunks that it lists. */
  async function findWhole(lost: readonly Sha256[]): Promise<Map<Sha256, Sha256[]>> {
    const whole = new Map<Sha256, Sha256[]>()
    for (const hash of (await store.touch(lost)).keys()) {
      const content = await readContent(store, hash).catch(ifLost)
      if (!content) continue
      const isSegment = content.length % HASH_BYTES === 0 && (await isListedAsSegment(hash))
      whole.set(hash, isSegment ? decodeSegment(content).filter(isStored) : [])
    }
    return whole
  }

  async function isListedAsSegment(hash: Sha256): Promise<boolean> {
    for await (const { manifest } of eachManifest(db))
      if (parseManifest(manifest).segments.includes(hash)) return true
    return false
  }

  async function fetchMissing(lost: readonly Sha256[], from: HealSource): Promise<void> {
    const present = await store.touch(lost)
    for (const hash of lost) {
      if (present.has(hash)) continue
      try {
        const stored = await from.fetch(hash)
        if (!stored) continue
        await verifiedContent(hash, stored)
        await store.putIfAbsent(hash, stored.bytes)
      } catch (err) {
        log.warn({ err, hash, from: from.name }, 'A damaged chunk could not be fetched')
      }
    }
  }

  return { found, look, heal, findLost, findLostOf }
}

type State = 'whole' | 'damaged' | 'gone'

async function stateOf(store: ChunkStore, hash: Sha256): Promise<State> {
  try {
    await verifiedContent(hash, await store.read(hash, undefined, { fromMedium: true }))
    return 'whole'
  } catch (err) {
    if (err instanceof ChunkMissingError) return 'gone'
    if (err instanceof ChunkCorruptError) return 'damaged'
    throw err
  }
}
