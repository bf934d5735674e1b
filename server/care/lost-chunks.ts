import type { FastifyBaseLogger } from 'fastify'
import { decodeSegment, HASH_BYTES, isStored } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { listDamage, saveLost } from '#server/db/images/damaged-chunks.ts'
import type { Database } from '#server/db/database.ts'
import { getLayout } from '#server/db/images/image-layouts.ts'
import { eachManifest, findManifest } from '#server/db/images/image-queries.ts'
import { parseManifest } from '#server/images/commit/check-image.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import { patchLayout } from '#server/images/export/layout.ts'
import {
  ChunkCorruptError,
  type ChunkForm,
  ChunkMissingError,
  type ChunkStore,
  ifLost,
} from '#server/images/store/chunk-store.ts'
import { createSegmentReader } from '#server/images/store/segment-reader.ts'
import { findUnlisted } from '#server/images/sweep/find-unlisted.ts'

export interface LostChunksOptions {
  db: Database
  store: ChunkStore
  lock: CommitLock
  log: FastifyBaseLogger
}

/** What is written down in one go, and looked for whenever an image comes. A store that lost more is named by that, too. */
const MAX_LOST = 10_000
/** What layouts are renewed for in one go; of more, the rest is found by the next look. */
const MAX_RESHAPED = 262_144
/** A store far away takes seconds for these; only between them whoever waits can be let go. */
const TOUCHED_AT_ONCE = 256

/**
 * Names the images whose chunks are gone without a trace: a file system check put them elsewhere, somebody
 * removed them, or a backup without them was restored. Those chunks that were not known of.
 * Throws StoreUnreachableError: nothing is lost because its disk is not mounted.
 */
export async function findLostChunks(
  options: LostChunksOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<Sha256>> {
  const { db, store, log } = options
  const known = new Set((await listDamage(db)).map(({ digest, hash }) => `${digest} ${hash}`))
  const suspects = new Map<Sha256, Sha256[]>()
  let count = 0
  const manifests = () => eachManifest(db)
  for await (const { digest, hash } of findUnlisted({ store, manifests, signal })) {
    const name = `${digest} ${hash}`
    if (known.has(name)) continue
    known.add(name)
    const some = suspects.get(digest) ?? []
    suspects.set(digest, some)
    some.push(hash)
    if (++count < MAX_LOST) continue
    log.warn({ count }, 'The store lacks more chunks than are written down at once')
    break
  }
  const lost = new Set<Sha256>()
  for (const [digest, hashes] of suspects) {
    for (const hash of await saveIfLost(options, digest, hashes, signal)) lost.add(hash)
    signal.throwIfAborted()
  }
  return lost
}

/** What the store does not have as an image says. */
export interface ImageGaps {
  /** It has no whole file of these. */
  absent: Sha256[]
  /** Among these are some that it has in another form: the database or the store was restored from a copy. */
  reshaped: Sha256[]
}

/**
 * Of one image, looked for chunk by chunk: how long that takes is up to the image, not to the store. What was found
 * until the signal.
 */
export async function findGaps(
  { db, store }: Pick<LostChunksOptions, 'db' | 'store'>,
  digest: Sha256,
  signal: AbortSignal,
): Promise<ImageGaps> {
  const manifest = await findManifest(db, digest)
  const absent: Sha256[] = []
  const reshaped: Sha256[] = []
  const read = createSegmentReader(store)
  for (const [index, text] of (manifest ? parseManifest(manifest).segments : []).entries()) {
    if (text === null) continue
    const segment = await read(parseSha256(text)).catch(ifLost)
    if (!segment) absent.push(parseSha256(text))
    else {
      const present = new Map<Sha256, ChunkForm>()
      for await (const { hash, form } of formsOf(store, segment, signal))
        if (form) present.set(hash, form)
        else absent.push(hash)
      const layout = await getLayout(db, digest, index)
      if (patchLayout(layout, decodeSegment(segment), present)) reshaped.push(...present.keys())
    }
    if (absent.length >= MAX_LOST || reshaped.length >= MAX_RESHAPED || signal.aborted) break
  }
  return { absent: absent.slice(0, MAX_LOST), reshaped }
}

async function* formsOf(
  store: ChunkStore,
  segment: Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<{ hash: Sha256; form: ChunkForm | undefined }> {
  const batchBytes = TOUCHED_AT_ONCE * HASH_BYTES
  for (let start = 0; start < segment.length && !signal.aborted; start += batchBytes) {
    const batch = new Set(
      decodeSegment(segment.subarray(start, start + batchBytes)).filter(isStored),
    )
    const forms = await store.touch([...batch])
    for (const hash of batch) yield { hash, form: forms.get(hash) }
  }
}

/** Those that are gone for sure, and are written down now; of many, those that were looked at until the signal. */
export async function saveIfLost(
  { db, store, lock, log }: LostChunksOptions,
  digest: Sha256,
  hashes: readonly Sha256[],
  signal?: AbortSignal,
): Promise<Sha256[]> {
  // No sweep comes in between: what an image that was deleted meanwhile had is not lost.
  return lock.shared(async () => {
    if (!(await findManifest(db, digest))) return []
    const lost: Sha256[] = []
    for (const hash of hashes) {
      // Not by touching it: what belongs to nobody a moment later would be kept from a sweep that just began.
      if (await isGone(store, hash)) lost.push(hash)
      // A single one keeps machines from the image.
      if (signal?.aborted) break
    }
    if (lost.length === 0) return []
    const images = await saveLost(db, digest, lost, new Date())
    log.error({ chunks: lost.length, images }, 'Chunks of images are not in the store any more')
    return lost
  })
}

/** Only reading tells an absent chunk from an absent store. */
export async function isGone(store: ChunkStore, hash: Sha256): Promise<boolean> {
  try {
    await store.read(hash)
    return false
  } catch (err) {
    if (err instanceof ChunkMissingError) return true
    // That, the check of all chunks finds by itself.
    if (err instanceof ChunkCorruptError) return false
    throw err
  }
}
