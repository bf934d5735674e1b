import { randomUUID } from 'node:crypto'
import { type FileHandle, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import pLimit from 'p-limit'
import { CHUNK_BYTES, SEGMENT_CHUNKS, isStored } from '#protocol/image/image.ts'
import { type LayoutSegment, volumePlaces } from '#protocol/disk/lvm-layout.ts'
import { type DiskContent, readDiskChunk, readSegment } from '../export/disk-content.ts'
import { ImageFileError } from './image-file-error.ts'

export interface ByteSpan {
  startBytes: number
  sizeBytes: number
}

/** Chunks read and written at once. */
const CONCURRENT_CHUNKS = 4
/** What is left to the database and whoever else lives in the data folder. */
const SPARE_FRACTION = 0.05

/** A partition or volume of a disk as a sparse file, for programs that read nothing else; gone when disposed. */
export async function spoolPartition(
  disk: DiskContent,
  layout: readonly LayoutSegment[],
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<{ path: string } & AsyncDisposable> {
  const chunks = []
  for (const segment of layout)
    for (const [area, start] of segment.areas.entries()) {
      const end = start + segment.sizeBytes / segment.areas.length
      const span = { startBytes: start, sizeBytes: end - start }
      for (const stored of await storedChunks(disk, span))
        chunks.push({ ...stored, segment, area, start, end })
    }
  await checkRoom(folder, chunks.length * CHUNK_BYTES)
  await using opened = new AsyncDisposableStack()
  const path = join(folder, `${randomUUID()}.partition`)
  opened.defer(() => rm(path, { force: true }))
  // Readable by the unprivileged reader through an inherited descriptor; the folder is closed to it.
  await using file = await open(path, 'wx', 0o644)
  await file.truncate(layout.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
  const limit = pLimit(CONCURRENT_CHUNKS)
  await Promise.all(
    chunks.map(({ index, reference, segment, area, ...span }) =>
      limit(async () => {
        signal.throwIfAborted()
        const content = await readDiskChunk(disk, index, reference)
        const from = index * CHUNK_BYTES
        const start = Math.max(span.start, from)
        const end = Math.min(span.end, from + content.length)
        for (const place of volumePlaces(segment, area, { start, end }))
          await writeAll(file, content.subarray(place.start - from, place.end - from), place.at)
      }),
    ),
  ).catch((err: unknown) => {
    limit.clearQueue()
    throw err
  })
  const resources = opened.move()
  return { path, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
}

async function storedChunks(disk: DiskContent, { startBytes, sizeBytes }: ByteSpan) {
  const first = Math.floor(startBytes / CHUNK_BYTES)
  const end = Math.ceil((startBytes + sizeBytes) / CHUNK_BYTES)
  const chunks = []
  for (
    let segment = Math.floor(first / SEGMENT_CHUNKS);
    segment * SEGMENT_CHUNKS < end;
    segment++
  ) {
    const references = (await readSegment(disk, segment)) ?? []
    for (const [at, reference] of references.entries()) {
      const index = segment * SEGMENT_CHUNKS + at
      if (index >= first && index < end && isStored(reference)) chunks.push({ index, reference })
    }
  }
  return chunks
}

async function checkRoom(folder: string, neededBytes: number): Promise<void> {
  const { bavail, blocks, bsize } = await statfs(folder)
  const freeBytes = Math.max(0, Math.floor((bavail - blocks * SPARE_FRACTION) * bsize))
  if (freeBytes >= neededBytes) return
  throw new ImageFileError(
    'spool-full',
    `The partition holds ${neededBytes} bytes, which have to be unpacked in the data folder, and there are ${freeBytes} to spare; make room, or take the image out with "images pull" and look into that`,
  )
}

/** Bytes of a disk here and there, without a spool. */
export async function readSpan(
  disk: DiskContent,
  { startBytes, sizeBytes }: ByteSpan,
): Promise<Uint8Array> {
  const end = Math.min(disk.sizeBytes, startBytes + sizeBytes)
  const bytes = new Uint8Array(Math.max(0, end - startBytes))
  for (let at = startBytes; at < end;) {
    const index = Math.floor(at / CHUNK_BYTES)
    const references = await readSegment(disk, Math.floor(index / SEGMENT_CHUNKS))
    const reference = references?.[index % SEGMENT_CHUNKS] ?? 'zero'
    const content = await readDiskChunk(disk, index, reference)
    const part = content.subarray(at - index * CHUNK_BYTES).subarray(0, end - at)
    bytes.set(part, at - startBytes)
    at += part.length
  }
  return bytes
}
