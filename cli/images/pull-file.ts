import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { CHUNK_BYTES, chunkLength, type Manifest } from '#protocol/image/image.ts'
import { explainFailure, readError, withPatience, type ApiClient } from '../api-client.ts'
import { CliError, EXIT } from '../errors.ts'
import { unwritable } from '../local-file.ts'
import type { Progress } from '../text/progress.ts'
import { readFrames } from './zstd-frames.ts'
import { OUTAGE_SECONDS, hashChunk, isZero, type RemoteChunks } from './chunks.ts'

/** The image as a file of the server's making, as it comes: gone on with after a cut, checked at the end. */

export interface Export {
  path: string
  etag: string
  sizeBytes: number
}

/** The server stores the image in other bytes now; what came so far is the beginning of nothing. */
export class StoredAnewError extends CliError {
  override name = 'StoredAnewError'
}

export async function findExport(
  api: ApiClient,
  name: string,
  suffix = '.img.gz',
): Promise<Export> {
  const path = `/images/${name}${suffix}`
  const limit = AbortSignal.timeout(30_000)
  const response = await api.fetch('HEAD', path, {}, limit)
  const etag = response.headers.get('etag')
  if (!response.ok || etag === null) {
    // Why is in the body, which HEAD leaves out.
    const told = await api.fetch('GET', path, { headers: { range: 'bytes=0-0' } }, limit)
    throw readError(told, await told.text(), path)
  }
  return { path, etag, sizeBytes: Number(response.headers.get('content-length')) }
}

/**
 * Appends to `file` what is not in it yet. It must hold the beginning of this very export. Throws
 * StoredAnewError if the server has it no longer.
 */
export async function download(
  api: ApiClient,
  { path, etag, sizeBytes }: Export,
  file: string,
  { progress, signal }: { progress: Progress; signal: AbortSignal },
): Promise<void> {
  await using out = await open(file, 'a')
  let offset = (await out.stat()).size
  if (offset > 0 && offset < sizeBytes) progress.note(`Going on at byte ${offset}`)
  const patience = {
    signal,
    outageSeconds: OUTAGE_SECONDS,
    onRetry: (err: Error) => progress.note(`${err.message}; trying again`),
  }
  // Each piece that came makes the wait for the next one a new one.
  while (offset < sizeBytes) {
    await withPatience(patience, async () => {
      try {
        const headers = {
          range: `bytes=${offset}-`,
          'if-range': etag,
          'accept-encoding': 'identity',
        }
        const response = await api.fetch('GET', path, { headers }, signal)
        if (response.status === 200)
          throw new StoredAnewError(
            EXIT.failed,
            'The server stores the image in other bytes since this began; pull it again',
          )
        if (response.status !== 206 || !response.body)
          throw readError(response, await response.text(), path)
        for await (const part of response.body as AsyncIterable<Uint8Array>) {
          // What the disk refuses is not asked of the server again.
          await out.appendFile(part).catch((err: unknown) => {
            throw unwritable(file, err)
          })
          offset += part.length
          progress.update(offset)
        }
      } catch (err) {
        throw explainFailure(err, api.server, signal)
      }
    })
  }
  await out.sync()
}

/** Unpacks the file and compares each chunk with the manifest. Throws CliError for what is damaged. */
export async function verifyCompressed(
  file: string,
  codec: 'gzip' | 'zstd',
  manifest: Manifest,
  chunks: RemoteChunks,
  onProgress: (bytesDone: number) => void,
): Promise<void> {
  const damaged = (reason: string) =>
    new CliError(EXIT.failed, `${file} is damaged: ${reason}; remove it and pull the image again`)
  const references = chunks.references(manifest)
  await using opened = await open(file, 'r')
  const content =
    codec === 'gzip'
      ? createReadStream(file).pipe(createGunzip({ chunkSize: 262_144 }))
      : readFrames(opened)
  let index = 0
  try {
    for await (const chunk of cut(content, manifest.sizeBytes)) {
      const { done, value: reference } = await references.next()
      if (done) throw damaged('it is too long')
      const isRight =
        reference === 'unused' ||
        (reference === 'zero' ? isZero(chunk) : (await hashChunk(chunk)) === reference)
      if (!isRight) throw damaged(`the content differs at byte ${index * CHUNK_BYTES}`)
      index++
      onProgress(Math.min(index * CHUNK_BYTES, manifest.sizeBytes))
    }
  } catch (err) {
    throw err instanceof CliError ? err : damaged((err as Error).message)
  }
  if (!(await references.next()).done) throw damaged('it is too short')
}

/** Chunks of a stream; a last one that is too short or too long comes as it is. */
async function* cut(
  content: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array> {
  let chunk = Buffer.alloc(CHUNK_BYTES)
  let filled = 0
  let index = 0
  for await (const part of content) {
    for (let at = 0; at < part.length;) {
      const length = Math.max(1, chunkLength(sizeBytes, index))
      const taken = Math.min(length - filled, part.length - at)
      chunk.set(part.subarray(at, at + taken), filled)
      filled += taken
      at += taken
      if (filled === length) {
        yield chunk.subarray(0, length)
        chunk = Buffer.alloc(CHUNK_BYTES)
        filled = 0
        index++
      }
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}
