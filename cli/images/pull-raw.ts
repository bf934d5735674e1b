import { open, type FileHandle } from 'node:fs/promises'
import {
  CHUNK_BYTES,
  chunkLength,
  type ChunkReference,
  type Manifest,
} from '#protocol/image/image.ts'
import { hashChunk, isZero, type RemoteChunks } from './chunks.ts'

const CHUNKS_AT_ONCE = 16

export interface PullOptions {
  chunks: RemoteChunks
  onProgress: (bytesDone: number) => void
  signal: AbortSignal
}

/**
 * Writes an image's content to `path`, sparse where it is zero or unused. What an earlier call left
 * there is read and kept where it is right, so nothing is fetched twice.
 */
export async function pullRaw(
  path: string,
  manifest: Manifest,
  { chunks, onProgress, signal }: PullOptions,
): Promise<{ bytesFetched: number }> {
  await using file = await open(path, 'a').then(async (made) => {
    await made.close()
    return await open(path, 'r+')
  })
  const isNew = (await file.stat()).size === 0
  await file.truncate(manifest.sizeBytes)
  const references = chunks.references(manifest)
  const failure = new AbortController()
  const stop = AbortSignal.any([signal, failure.signal])
  let next = 0
  let bytesDone = 0
  let bytesFetched = 0

  async function work(): Promise<void> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
    for (;;) {
      stop.throwIfAborted()
      // A generator answers in the order in which it was asked.
      const index = next++
      const { done, value: reference } = await references.next()
      if (done) return
      const bytes = buffer.subarray(0, chunkLength(manifest.sizeBytes, index))
      const at = index * CHUNK_BYTES
      if (!(isNew && isFree(reference)) && !(!isNew && (await holds(file, bytes, at, reference)))) {
        if (isFree(reference)) await writeFully(file, bytes.fill(0), at)
        else {
          const content = await chunks.read(reference)
          if (content.length !== bytes.length)
            throw new Error(`Chunk ${reference} has ${content.length} bytes, not ${bytes.length}`)
          await writeFully(file, content, at)
          bytesFetched += content.length
        }
      }
      bytesDone += bytes.length
      onProgress(bytesDone)
    }
  }

  await Promise.all(
    Array.from({ length: CHUNKS_AT_ONCE }, () =>
      work().catch((err: unknown) => failure.abort(err)),
    ),
  )
  stop.throwIfAborted()
  await file.sync()
  return { bytesFetched }
}

type Free = 'zero' | 'unused'

function isFree(reference: ChunkReference): reference is Free {
  return reference === 'zero' || reference === 'unused'
}

async function holds(
  file: FileHandle,
  bytes: Buffer,
  at: number,
  reference: ChunkReference,
): Promise<boolean> {
  const { bytesRead } = await file.read(bytes, 0, bytes.length, at)
  if (bytesRead !== bytes.length) return false
  return isZero(bytes)
    ? isFree(reference)
    : !isFree(reference) && (await hashChunk(bytes)) === reference
}

async function writeFully(file: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}
