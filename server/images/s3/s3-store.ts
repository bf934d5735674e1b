import { randomUUID } from 'node:crypto'
import { CHUNK_BYTES, LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { codecOf, isContentOf } from '../store/chunk-codec.ts'
import { CODECS, contentBytesOf, isChunk, isChunkLength, isForm } from '../store/chunk-file.ts'
import {
  ChunkCorruptError,
  type ChunkForm,
  ChunkMissingError,
  type ChunkStore,
  type Codec,
  type ListedChunk,
  type StoredChunk,
  type StoredSize,
  StoreFullError,
  StoreUnreachableError,
  type Sweep,
} from '../store/chunk-store.ts'
import type { S3Client } from './s3-client.ts'
import { S3Error, S3LengthError, storeError } from './s3-error.ts'
import { chunkObject, findForm, findHash, objectPrefix, replacedObject } from './s3-keys.ts'
import { createS3Objects } from './s3-objects.ts'
import type { ListedObject } from './s3-xml.ts'
import type { TouchLog } from './touch-log.ts'

const CONTENT_BYTES_HEADER = 'x-amz-meta-content-bytes'
const MEDIA_TYPES: Record<Codec, string> = { gzip: 'application/gzip', zstd: 'application/zstd' }
/** Chunks that one hold of the touch log removes: touches wait for so many deletions at most. */
const REMOVED_AT_ONCE = 256
/** More only wait for each other. */
const REMOVALS_IN_FLIGHT = 32
/** The clock of a store is told in whole seconds, and its answer takes a while. */
const CLOCK_MARGIN_MILLISECONDS = 5000
/** Of a chunk that changes under our hands: another server replaces or removes it. */
const TRIES = 5
/** Chunks found absent a moment ago, which whoever asked is about to put. */
const KEPT_ABSENT = 16_384

/** In place of what cannot be a chunk, whatever its bytes are. */
const TOO_LONG = new Uint8Array()

type Found = StoredSize & { etag: string }

/**
 * Chunks as objects `chunks/ab/cdef…`, whatever their codec, so that a conditional PUT makes the
 * first writer win. An object is there whole or not at all, and at once for everybody; as nothing
 * can change its time stamp, touches are kept in a log beside it. A form that was replaced is kept
 * as `replaced/ab/cdef….<codec>.<length>`.
 */
export function createS3Store(client: S3Client, touches: TouchLog): ChunkStore {
  const objects = createS3Objects(client)
  const absent = new Set<Sha256>()

  /** Undefined if there is nothing that can be a whole chunk. */
  async function find(hash: Sha256): Promise<Found | undefined> {
    const answer = await objects.sendUnless([404], { method: 'HEAD', key: chunkObject(hash) })
    if (!answer) return undefined
    const { headers } = answer
    const storedBytes = Number(headers['content-length'])
    const codec = CODECS.find((each) => MEDIA_TYPES[each] === headers['content-type'])
    const contentBytes = Number(headers[CONTENT_BYTES_HEADER])
    const etag = String(headers.etag)
    if (codec && contentBytes > 0 && contentBytes <= CHUNK_BYTES)
      return isChunkLength(storedBytes, codec)
        ? { codec, storedBytes, contentBytes, etag }
        : undefined
    // Copied here by a tool that keeps no metadata: its bytes tell the same.
    return storedBytes <= 2 * CHUNK_BYTES ? await measure(hash) : undefined
  }

  /** What is longer than any chunk is not read to its end. */
  async function readKey(key: string, buffer?: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      return (await objects.sendUnless([404], { method: 'GET', key, buffer }))?.body
    } catch (err) {
      if (err instanceof StoreUnreachableError && err.cause instanceof S3LengthError)
        return TOO_LONG
      throw err
    }
  }

  /** The tag of what is there and is not the chunk; undefined if it is, or if nothing is. */
  async function findDamaged(hash: Sha256): Promise<string | undefined> {
    const there = await objects.sendUnless([404], { method: 'HEAD', key: chunkObject(hash) })
    if (!there || Number(there.headers['content-length']) > LONGEST_STORED_BYTES)
      return there && String(there.headers.etag)
    const answer = await objects.sendUnless([404], { method: 'GET', key: chunkObject(hash) })
    const isWhole = !answer || (await isContentOf(hash, answer.body))
    return isWhole ? undefined : String(answer.headers.etag)
  }

  async function measure(hash: Sha256): Promise<Found | undefined> {
    const answer = await objects.sendUnless([404], { method: 'GET', key: chunkObject(hash) })
    const codec = answer && codecOf(answer.body)
    if (!codec || !isChunk(answer.body, codec)) return undefined
    const contentBytes = contentBytesOf(answer.body, codec)
    if (contentBytes === undefined || contentBytes > CHUNK_BYTES) return undefined
    const etag = String(answer.headers.etag)
    return { codec, storedBytes: answer.body.length, contentBytes, etag }
  }

  async function touch(hashes: readonly Sha256[]): Promise<Map<Sha256, StoredSize>> {
    // First, so that a sweep either sees it or is done before we look.
    await touches.record(hashes)
    const sizes = new Map<Sha256, StoredSize>()
    await Promise.all(
      hashes.map(async (hash) => {
        const found = await find(hash)
        if (found) sizes.set(hash, sizeOf(found))
        else rememberAbsent(hash)
      }),
    )
    return sizes
  }

  function rememberAbsent(hash: Sha256): void {
    absent.add(hash)
    if (absent.size > KEPT_ABSENT) absent.delete(absent.values().next().value!)
  }

  async function putIfAbsent(hash: Sha256, bytes: Uint8Array): Promise<void> {
    await touches.record([hash])
    const wasAbsent = absent.delete(hash)
    let found = wasAbsent ? undefined : await find(hash)
    for (let tries = 0; !found; tries++) {
      if (await put(hash, bytes, { 'if-none-match': '*' })) return
      found = await find(hash)
      // Something is there that is no chunk; nothing of ours leaves that behind.
      if (!found && (await overwrite(hash, bytes))) return
      if (tries === TRIES) throw changing(hash)
    }
  }

  /** False if the condition does not hold. */
  async function put(
    hash: Sha256,
    bytes: Uint8Array,
    condition: Record<string, string>,
  ): Promise<boolean> {
    const codec = codecOf(bytes)
    const contentBytes = codec && contentBytesOf(bytes, codec)
    if (!codec || contentBytes === undefined)
      throw new TypeError(`Chunk "${hash}" is neither a gzip member nor a zstd frame`)
    const headers = {
      ...condition,
      'content-type': MEDIA_TYPES[codec],
      [CONTENT_BYTES_HEADER]: String(contentBytes),
    }
    const request = { method: 'PUT', key: chunkObject(hash), headers, body: bytes } as const
    // With `if-match`, what is gone is answered by one or the other.
    return (await objects.sendUnless([404, 412], request)) !== undefined
  }

  async function overwrite(hash: Sha256, bytes: Uint8Array): Promise<boolean> {
    const answer = await objects.sendUnless([404], { method: 'HEAD', key: chunkObject(hash) })
    return answer !== undefined && (await putOver(hash, bytes, String(answer.headers.etag)))
  }

  async function replace(hash: Sha256, bytes: Uint8Array): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await find(hash)
      if (!found) return false
      if (!(await objects.copy(chunkObject(hash), replacedObject(hash, found), found.etag)))
        continue
      if (await putOver(hash, bytes, found.etag)) return true
    }
    throw changing(hash)
  }

  /** False if it is gone or another by now. */
  const putOver = (hash: Sha256, bytes: Uint8Array, etag: string): Promise<boolean> =>
    eitherTag(etag, (tag) => put(hash, bytes, { 'if-match': tag }))

  function changing(hash: Sha256): unknown {
    return storeError(
      client.access,
      new S3Error(`Chunk "${hash}" changes again and again; it`, 409, {}, new Uint8Array()),
    )
  }

  async function* chunks(prefix: string): AsyncGenerator<ListedObject & { hash: Sha256 }> {
    for await (const object of objects.list(objectPrefix('chunks', prefix))) {
      const hash = findHash(object.key)
      if (hash) yield { ...object, hash }
    }
  }

  async function* replaced(
    prefix: string,
  ): AsyncGenerator<ListedObject & { hash: Sha256; form: ChunkForm }> {
    for await (const object of objects.list(objectPrefix('replaced', prefix))) {
      const found = findForm(object.key)
      if (found) yield { ...object, ...found }
    }
  }

  /** Both lists come in the order of the hashes, so one pass through each is enough. */
  async function* list(prefix: string): AsyncGenerator<ListedChunk> {
    const forms = replaced(prefix)
    let form = await forms.next()
    for await (const { hash, bytes, modifiedAt } of chunks(prefix)) {
      const earlier: ChunkForm[] = []
      for (; !form.done && form.value.hash <= hash; form = await forms.next())
        if (form.value.hash === hash) earlier.push(form.value.form)
      const listed = { hash, storedBytes: bytes, touchedAt: modifiedAt, replaced: earlier }
      const found = earlier.length > 0 ? await find(hash) : undefined
      yield found ? { ...listed, codec: found.codec, storedBytes: found.storedBytes } : listed
    }
  }

  async function sweepReplaced(prefix: string, cutoff: Date): Promise<void> {
    const before = cutoff.getTime() + client.clockOffsetMilliseconds() - CLOCK_MARGIN_MILLISECONDS
    const over: string[] = []
    for await (const { key, modifiedAt } of replaced(prefix))
      if (modifiedAt.getTime() < before) over.push(key)
    await removeAll(over)
  }

  /**
   * Throws once nothing of it goes on any more: touches that waited find chunks, which a removal that is
   * still under way would take.
   */
  async function removeAll(keys: readonly string[]): Promise<void> {
    const left = keys.values()
    const failures: unknown[] = []
    const removeSome = async () => {
      for (const key of left) {
        if (failures.length > 0) return
        await objects.remove(key).catch((err: unknown) => failures.push(err))
      }
    }
    await Promise.all(Array.from({ length: REMOVALS_IN_FLIGHT }, removeSome))
    if (failures.length > 0) throw failures[0]
  }

  return {
    touch,
    putIfAbsent,
    replace,
    list,

    async read(hash, buffer, { form } = {}): Promise<StoredChunk> {
      const current = await readKey(chunkObject(hash), buffer)
      const isAsked = !form || (current && isForm(current, form))
      const earlier = isAsked ? undefined : await readKey(replacedObject(hash, form), buffer)
      // The buffer that both were read into holds the earlier one only if there was one.
      const bytes = earlier ?? current
      if (!bytes) throw new ChunkMissingError(hash)
      if (bytes === TOO_LONG) throw new ChunkCorruptError(hash, 'it is longer than any chunk')
      const codec = codecOf(bytes)
      if (!codec || !isChunk(bytes, codec))
        throw new ChunkCorruptError(hash, `its ${bytes.length} bytes are no chunk`)
      return { codec, bytes }
    },

    async quarantine(hash) {
      for (let tries = 0; tries < TRIES; tries++) {
        const etag = await findDamaged(hash)
        // Healed since it was found.
        if (etag === undefined) return false
        const kept = `quarantine/${randomUUID()}-${hash}`
        const isThere = await objects.copy(chunkObject(hash), kept, etag).catch((err: unknown) => {
          // A full one keeps nothing aside; left where it is, it would be found, and taken for whole, again and again.
          if (!(err instanceof StoreFullError)) throw err
          return true
        })
        if (!isThere) continue
        if (await eitherTag(etag, (tag) => objects.remove(chunkObject(hash), tag))) return true
      }
      throw changing(hash)
    },

    presign: (hash, seconds) => client.presign(chunkObject(hash), seconds),

    async sweep({ prefix, isLive, cutoff, replacedCutoff }: Sweep): Promise<number> {
      const garbage: Sha256[] = []
      for await (const { hash, modifiedAt } of chunks(prefix))
        if (!isLive(hash) && modifiedAt < cutoff) garbage.push(hash)
      let removed = 0
      for (let start = 0; start < garbage.length; start += REMOVED_AT_ONCE)
        removed += await touches.removing(prefix, cutoff, async (wasTouched) => {
          const part = garbage.slice(start, start + REMOVED_AT_ONCE)
          const victims = part.filter((hash) => !wasTouched(hash))
          await removeAll(victims.map(chunkObject))
          return victims.length
        })
      await touches.forget(prefix, cutoff)
      if (replacedCutoff) await sweepReplaced(prefix, replacedCutoff)
      return removed
    },

    // An object that was stored is on as many media as the store has promised.
    flush: async () => {},
  }
}

function sizeOf({ codec, storedBytes, contentBytes }: Found): StoredSize {
  return { codec, storedBytes, contentBytes }
}

/** Ceph before 17 wants the tag of a write without quotes, others with. */
async function eitherTag(etag: string, write: (tag: string) => Promise<boolean>): Promise<boolean> {
  return (await write(etag.replaceAll('"', ''))) || (await write(etag))
}
