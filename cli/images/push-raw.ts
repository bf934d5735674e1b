import { open, type FileHandle } from 'node:fs/promises'
import pLimit from 'p-limit'
import { detectSectorBytes } from '#protocol/disk/gpt.ts'
import type { Image, ImageInfo } from '#protocol/image/image-info.ts'
import {
  CHUNK_BYTES,
  HASH_BYTES,
  MANIFEST_MEDIA_TYPE,
  SEGMENT_CHUNKS,
  chunkCount,
  encodeManifest,
} from '#protocol/image/image.ts'
import { learnInfo } from '#protocol/disk/learn-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { withPatience, type ApiClient } from '../api-client.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import type { Progress } from '../text/progress.ts'
import { OUTAGE_SECONDS, hashChunk, isZero, sha256, type RemoteChunks } from './chunks.ts'

/** Asked for at once. */
const BATCH_CHUNKS = 16
/** Batches in memory: 64 MiB of content, and what it compresses to. */
const BATCHES_AT_ONCE = 4
const PUTS_AT_ONCE = 8
/** The server looks at each chunk of the image once more. */
const COMMIT_TIMEOUT_MILLISECONDS = 3_600_000

export interface PushOptions {
  api: ApiClient
  chunks: RemoteChunks
  name: string
  /** Noted beside the image. */
  source: string
  sectorBytes: 512 | 4096 | undefined
  promote?: boolean | undefined
  progress: (bytesDone: number, bytesTotal: number) => Pick<Progress, 'update' | 'note'>
  signal: AbortSignal
}

export interface Pushed {
  image: Image
  bytesSent: number
}

/**
 * Brings what the server lacks of a disk's content there, and makes it an image. What arrived stays
 * there for a day, so the same again after a failure sends only the rest, unless there was no room.
 */
export async function pushRaw(path: string, options: PushOptions): Promise<Pushed> {
  await using file = await open(path, 'r')
  const before = await file.stat()
  const { size: sizeBytes } = before
  const head = Buffer.alloc(Math.min(CHUNK_BYTES, sizeBytes))
  await file.read(head, 0, head.length, 0)
  const sectorBytes = options.sectorBytes ?? detectSectorBytes(head) ?? 512
  if (sizeBytes === 0 || sizeBytes % sectorBytes !== 0)
    throw new UsageError(
      `${path} has ${sizeBytes} bytes, which is no whole number of sectors of ${sectorBytes} bytes; is it a disk image?`,
    )
  const { hashes, bytesSent } = await sendContent(file, sizeBytes, options)
  const segments = await sendSegments(hashes, options.chunks)
  const after = await file.stat()
  if (after.mtimeMs !== before.mtimeMs || after.size !== before.size)
    throw new CliError(EXIT.failed, `${path} changed while it was read; push it again`)
  const manifest = encodeManifest({ sizeBytes, sectorBytes, segments })
  const image = await commit(manifest, options)
  const info: ImageInfo = { ...learnInfo(head, sectorBytes), source: options.source }
  const path_ = `/api/images/${options.name}@${image.version}/info`
  return {
    image: await options.api.call<Image>('PUT', path_, { json: info }).catch(() => image),
    bytesSent,
  }
}

async function sendContent(file: FileHandle, sizeBytes: number, options: PushOptions) {
  const { chunks, signal } = options
  // Zero from the start, as zero chunks are.
  const hashes = Buffer.alloc(chunkCount(sizeBytes) * HASH_BYTES)
  const progress = options.progress(0, sizeBytes)
  const sender = createSender(chunks)
  const batchBytes = BATCH_CHUNKS * CHUNK_BYTES
  const failure = new AbortController()
  const stop = AbortSignal.any([signal, failure.signal])
  let next = 0
  let bytesDone = 0

  async function work(): Promise<void> {
    const buffer = Buffer.allocUnsafe(Math.min(batchBytes, sizeBytes))
    while (next < sizeBytes) {
      stop.throwIfAborted()
      const start = next
      next += batchBytes
      const bytes = buffer.subarray(0, Math.min(batchBytes, sizeBytes - start))
      await readFully(file, bytes, start)
      await sender.send(await nameChunks(bytes, start, hashes))
      bytesDone += bytes.length
      progress.update(bytesDone)
    }
  }

  const workers = Array.from({ length: BATCHES_AT_ONCE }, () =>
    work().catch((err: unknown) => failure.abort(err)),
  )
  await Promise.all(workers)
  stop.throwIfAborted()
  return { hashes, bytesSent: sender.bytesSent() }
}

async function readFully(file: FileHandle, bytes: Buffer, start: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done)
    if (bytesRead === 0)
      throw new CliError(EXIT.failed, 'The file became shorter while it was read')
    done += bytesRead
  }
}

/** Those that are not zero, each noted at its place. */
async function nameChunks(bytes: Buffer, start: number, hashes: Buffer) {
  const found = new Map<Sha256, Buffer>()
  const names: Promise<void>[] = []
  for (let offset = 0; offset < bytes.length; offset += CHUNK_BYTES) {
    const chunk = bytes.subarray(offset, offset + CHUNK_BYTES)
    if (isZero(chunk)) continue
    const place = ((start + offset) / CHUNK_BYTES) * HASH_BYTES
    names.push(
      hashChunk(chunk).then((hash) => {
        hashes.write(hash, place, 'hex')
        found.set(hash, chunk)
      }),
    )
  }
  await Promise.all(names)
  return found
}

/** A chunk that several places hold is sent once. */
function createSender(chunks: RemoteChunks) {
  const limit = pLimit(PUTS_AT_ONCE)
  const underWay = new Map<Sha256, Promise<void>>()
  let bytesSent = 0

  function sendOnce(hash: Sha256, bytes: Buffer): Promise<void> {
    const sending = underWay.get(hash)
    if (sending) return sending
    const sent = limit(async () => {
      const bytesOfIt = await chunks.put(hash, bytes)
      bytesSent += bytesOfIt
    }).finally(() => underWay.delete(hash))
    underWay.set(hash, sent)
    return sent
  }

  return {
    bytesSent: () => bytesSent,
    async send(found: ReadonlyMap<Sha256, Buffer>): Promise<void> {
      if (found.size === 0) return
      const missing = await chunks.missing([...found.keys()])
      // All must have ended before the buffer is read into again.
      const outcomes = await Promise.allSettled(
        [...missing].map((hash) => sendOnce(hash, found.get(hash)!)),
      )
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    },
  }
}

/** Segments are chunks themselves; one that lists only zeros is `null`. */
async function sendSegments(hashes: Buffer, chunks: RemoteChunks): Promise<(Sha256 | null)[]> {
  const segments: (Sha256 | null)[] = []
  const sender = createSender(chunks)
  for (let at = 0; at < hashes.length; at += SEGMENT_CHUNKS * HASH_BYTES) {
    const segment = hashes.subarray(at, at + SEGMENT_CHUNKS * HASH_BYTES)
    const hash = isZero(segment) ? null : sha256(segment)
    if (hash !== null) await sender.send(new Map([[hash, segment]]))
    segments.push(hash)
  }
  return segments
}

async function commit(
  manifest: Uint8Array,
  { api, name, promote, signal }: PushOptions,
): Promise<Image> {
  const patience = { signal, outageSeconds: OUTAGE_SECONDS, onRetry: () => undefined }
  const image = await withPatience(patience, () =>
    api.call<Image>('PUT', `/api/images/${name}/manifest`, {
      query: { promote },
      body: manifest as Uint8Array<ArrayBuffer>,
      headers: { 'content-type': MANIFEST_MEDIA_TYPE },
      timeoutMilliseconds: COMMIT_TIMEOUT_MILLISECONDS,
    }),
  )
  const digest = sha256(manifest)
  if (image.digest !== digest)
    throw new CliError(
      EXIT.failed,
      `The server made image ${image.digest} of what has the digest ${digest}`,
    )
  return image
}
