import type { FastifyBaseLogger } from 'fastify'
import pLimit from 'p-limit'
import { decodeSegment, isStored } from '#protocol/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { Database } from '#server/db/database.ts'
import { clearDamage, listDamage, saveDamage } from '#server/db/damaged-chunks.ts'
import { manifests } from '#server/db/schema.ts'
import { findManifest } from '#server/db/image-queries.ts'
import { parseManifest } from '#server/images/commit/check-image.ts'
import { readContent, verifiedContent } from '#server/images/store/chunk-codec.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  type ChunkStore,
} from '#server/images/store/chunk-store.ts'
import type { HealSource } from './heal-source.ts'
import { renewForms } from './renew-forms.ts'

export interface DamageOptions {
  db: Database
  store: ChunkStore
  /** Another store that may have what is lost. */
  source: HealSource | undefined
  log: FastifyBaseLogger
}

export interface DamageCare {
  /** Sets a rotten chunk aside and names the images that had it; brings it again if anybody has it. */
  found(hash: Sha256, reason: string): Promise<void>
  /** Looks for lost chunks that came again, and asks the other store for the rest; how many are back. */
  heal(options?: { ask?: boolean }): Promise<number>
}

/** What is done about chunks that the medium did not keep. */
export function createDamageCare({ db, store, source, log }: DamageOptions): DamageCare {
  let healing: Promise<unknown> = Promise.resolve()
  /** Of two that find the same chunk, the second finds what came of the first. */
  const inTurn = pLimit(1)

  async function found(hash: Sha256, reason: string): Promise<void> {
    // Whoever found it read it a while ago, or took another form for it than its images name.
    const isAside = await inTurn(
      async () => !(await isWhole(store, hash)) && (await store.quarantine(hash)),
    )
    if (!isAside) return void (await renewForms({ db, store, forms: await store.touch([hash]) }))
    const digests = await imagesWith(hash)
    const images = await saveDamage(db, digests, { hash, reason, foundAt: new Date() })
    log.error({ hash, reason, images }, 'A chunk was damaged in the store and set aside')
    await heal({ ask: true })
  }

  async function imagesWith(hash: Sha256): Promise<Sha256[]> {
    const digests: Sha256[] = []
    for (const { digest } of await db.select({ digest: manifests.digest }).from(manifests))
      if (await hasChunk(digest, hash)) digests.push(digest)
    return digests
  }

  async function hasChunk(digest: Sha256, hash: Sha256): Promise<boolean> {
    const manifest = await findManifest(db, digest)
    for (const text of manifest ? parseManifest(manifest).segments : []) {
      if (text === null) continue
      if (text === hash) return true
      const content = await readContent(store, parseSha256(text)).catch(ifLost)
      if (content && decodeSegment(content).includes(hash)) return true
    }
    return false
  }

  function heal({ ask = false } = {}): Promise<number> {
    const healed = healing.then(() => healNow(ask))
    healing = healed.catch(() => {})
    return healed
  }

  async function healNow(ask: boolean): Promise<number> {
    const damage = await listDamage(db)
    if (damage.length === 0) return 0
    const lost = [...new Set(damage.map(({ hash }) => hash))]
    if (ask && source) await fetchMissing(lost, source)
    const present = await store.touch(lost)
    const always = new Set(
      damage.filter(({ hash }) => present.has(hash)).map(({ digest }) => digest),
    )
    if (present.size === 0) return 0
    // A segment that came again may name chunks that were replaced while nobody could read it.
    const forms = new Map(present)
    for (const hash of present.keys())
      for (const [each, form] of await formsOfSegment(hash)) forms.set(each, form)
    await renewForms({ db, store, forms, always })
    const images = await clearDamage(db, [...present.keys()])
    log.info({ chunks: present.size, images }, 'Chunks that were damaged are in the store again')
    return present.size
  }

  async function formsOfSegment(hash: Sha256) {
    const content = await readContent(store, hash)
    const isSegment = content.length % 32 === 0 && (await isListedAsSegment(hash))
    if (!isSegment) return new Map<Sha256, never>()
    return await store.touch([...new Set(decodeSegment(content))].filter(isStored))
  }

  async function isListedAsSegment(hash: Sha256): Promise<boolean> {
    for (const { digest } of await db.select({ digest: manifests.digest }).from(manifests)) {
      const manifest = await findManifest(db, digest)
      if (manifest && parseManifest(manifest).segments.includes(hash)) return true
    }
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

  return { found, heal }
}

/** Also if it is gone: then there is nothing to set aside. */
async function isWhole(store: ChunkStore, hash: Sha256): Promise<boolean> {
  try {
    await verifiedContent(hash, await store.read(hash, undefined, { fromMedium: true }))
    return true
  } catch (err) {
    if (err instanceof ChunkMissingError) return true
    if (err instanceof ChunkCorruptError) return false
    throw err
  }
}

function ifLost(err: unknown): undefined {
  if (!(err instanceof ChunkMissingError || err instanceof ChunkCorruptError)) throw err
  return undefined
}
