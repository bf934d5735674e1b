import pRetry, { AbortError } from 'p-retry'
import { MANIFEST_MEDIA_TYPE } from '#protocol/image/image.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import {
  ChunkCorruptError,
  ChunkMissingError,
  ImageDamagedError,
  ImageIncompleteError,
  type ChunkClient,
  type NewImage,
} from '../chunks/chunk-client.ts'
import { compressChunk, decodeChunk } from '../chunks/chunk-pool.ts'
import { sha256 } from '../chunks/content.ts'
import { withChunkBuffer, withFrameBuffer } from '../disk/buffer-pool.ts'
import { HttpStatusError, type HttpClient } from './http.ts'
import { parseManifest } from '../chunks/manifest.ts'
import { directPath } from './redirects.ts'

const MISSING_BATCH = 4096
/** The server looks at every chunk of the image before it answers: ten million take minutes. */
const COMMIT_SECONDS = 30 * 60
/** A bit may flip on the way; one that flipped in the store stays so. */
const CORRUPT_TRIES = 3
const CORRUPT_WAIT_MILLISECONDS = 200

/** The image routes over HTTP. */
export function createChunkClient(connection: HttpClient): ChunkClient {
  let bytesFetched = 0
  const http: HttpClient = {
    async send(request) {
      const answer = await connection.send(request)
      if (request.method === 'GET') bytesFetched += answer.body.length
      return answer
    },
  }
  return {
    bytesFetched: () => bytesFetched,
    manifest: (digest, signal, options) => readManifest(http, digest, signal, options),
    read: (hash, signal) =>
      withChunkBuffer(async (chunk) =>
        Uint8Array.from(chunk.subarray(0, await readChunk(http, hash, chunk, signal))),
      ),
    readInto: (hash, chunk, signal) => readChunk(http, hash, chunk, signal),
    missing: (hashes, signal) => askMissing(http, hashes, signal),
    async put(hash, body, signal) {
      await putChunk(http, hash, body, signal)
    },
    commit: (name, image, signal) => commit(http, name, image, signal),
  }
}

async function readManifest(
  http: HttpClient,
  digest: Sha256,
  signal: AbortSignal,
  { isToBeWritten = false } = {},
) {
  const path = `/images/by-digest/${digest}${isToBeWritten ? '?complete=1' : ''}`
  return await retryCorrupt(signal, async () => {
    const bytes = await get(http, path, `Image ${digest}`, signal)
    if (sha256(bytes) !== digest)
      throw new ChunkCorruptError(`The manifest of image ${digest} has another hash than its name`)
    return parseManifest(bytes)
  })
}

async function readChunk(http: HttpClient, hash: Sha256, chunk: Buffer, signal: AbortSignal) {
  return await retryCorrupt(signal, async (attemptNumber) => {
    const path = `/chunks/${hash}`
    // What changed it may lie between us and a store that the server sent us to, or in that store.
    const asked = attemptNumber > 1 ? `${directPath(path)}&verify=1` : path
    const stored = await get(http, asked, `Chunk ${hash}`, signal)
    const content = await decode(hash, stored, chunk)
    if (content.hash !== hash)
      throw new ChunkCorruptError(
        `Chunk ${hash} of the server has other content than its name says`,
      )
    return content.length
  })
}

async function decode(hash: Sha256, stored: Buffer, chunk: Buffer) {
  try {
    return await decodeChunk(stored, chunk)
  } catch (cause) {
    if (!(cause instanceof ChunkCorruptError)) throw cause
    throw new ChunkCorruptError(`Chunk ${hash} of the server does not inflate: ${cause.message}`, {
      cause,
    })
  }
}

async function retryCorrupt<Result>(
  signal: AbortSignal,
  read: (attemptNumber: number) => Promise<Result>,
) {
  return await pRetry(read, {
    retries: CORRUPT_TRIES - 1,
    minTimeout: CORRUPT_WAIT_MILLISECONDS,
    shouldRetry: ({ error }) => error instanceof ChunkCorruptError,
    signal,
  })
}

async function get(http: HttpClient, path: string, what: string, signal: AbortSignal) {
  try {
    const { body } = await http.send({ method: 'GET', path, signal })
    return body
  } catch (err) {
    if (err instanceof HttpStatusError && err.status === 404)
      throw new AbortError(new ChunkMissingError(`${what} is missing on the server`))
    if (err instanceof HttpStatusError && err.code === 'image-damaged')
      throw new AbortError(new ImageDamagedError(`${err.reason}; nothing was written`))
    if (err instanceof HttpStatusError && err.code === 'chunk-corrupt')
      throw new ChunkCorruptError(`${what} is damaged on the server: ${err.message}`)
    throw err
  }
}

async function askMissing(http: HttpClient, hashes: readonly Sha256[], signal: AbortSignal) {
  const missing = new Set<Sha256>()
  for (let start = 0; start < hashes.length; start += MISSING_BATCH) {
    const sha256 = hashes.slice(start, start + MISSING_BATCH)
    const { body } = await http.send({
      method: 'POST',
      path: '/chunks/missing',
      json: { sha256 },
      signal,
    })
    for (const hash of parseMissing(body)) missing.add(hash)
  }
  return missing
}

function parseMissing(body: Buffer): Sha256[] {
  const answer: { missing?: unknown; error?: { details?: { missing?: unknown } } } = JSON.parse(
    body.toString(),
  )
  const missing = answer.missing ?? answer.error?.details?.missing
  if (!Array.isArray(missing)) throw new TypeError('The server did not say which chunks it lacks')
  return missing.map((hash) => parseSha256(String(hash)))
}

async function putChunk(http: HttpClient, hash: Sha256, body: Uint8Array, signal: AbortSignal) {
  const path = `/chunks/${hash}`
  await pRetry(
    async () => await http.send({ method: 'PUT', path, body, arrivedAt: path, signal }),
    {
      retries: CORRUPT_TRIES - 1,
      minTimeout: CORRUPT_WAIT_MILLISECONDS,
      // It was whole when it left us: what changed it lies between.
      shouldRetry: ({ error }) => error instanceof HttpStatusError && error.status === 422,
      signal,
    },
  )
}

/**
 * What is known of the image goes ahead, as a chunk that the commit names: sent after it, it would be
 * lost with an agent that is cut off between the two.
 */
async function commit(
  http: HttpClient,
  name: string,
  { manifest, info }: NewImage,
  signal: AbortSignal,
) {
  const infoBytes = Buffer.from(JSON.stringify(info))
  const infoHash = sha256(infoBytes)
  if ((await askMissing(http, [infoHash], signal)).size > 0)
    await withFrameBuffer(async (frame) => {
      const length = await compressChunk(infoBytes, frame)
      await putChunk(http, infoHash, frame.subarray(0, length), signal)
    })
  try {
    await http.send({
      method: 'PUT',
      path: `/api/images/${name}/manifest?info=${infoHash}`,
      body: manifest,
      contentType: MANIFEST_MEDIA_TYPE,
      idleSeconds: COMMIT_SECONDS,
      signal,
    })
  } catch (err) {
    if (!(err instanceof HttpStatusError) || err.status !== 409) throw err
    const missing = parseMissing(err.body)
    throw new ImageIncompleteError(
      `Image "${name}" can't be saved: the server lacks ${missing.length} of its chunks, ` +
        `${missing[0]} first; start the capture again`,
      missing,
    )
  }
}
