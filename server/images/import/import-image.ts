import { createHash } from 'node:crypto'
import { detectSectorBytes } from '#protocol/disk/gpt.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import { CHUNK_BYTES, encodeManifest } from '#protocol/image/image.ts'
import { learnInfo } from '#protocol/disk/learn-info.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { ExportStamp } from '../export/export-stamp.ts'
import { compressChunk, hashChunk } from '../store/chunk-codec.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import { checkRoomFor, type StoreRoom } from '../store/store-room.ts'
import { BufferPool } from './buffer-pool.ts'
import { ByteInput } from './byte-input.ts'
import { cutChunks, type Piece } from './chunk-cutter.ts'
import { type DecodedUpload, decodeUpload } from './decode-upload.ts'
import { ImageRefusedError } from './import-error.ts'
import { SegmentWriter } from './segment-writer.ts'

export type SectorBytes = 512 | 4096

export type ImportOptions = {
  store: ChunkStore
  /** For qcow2 only: a folder on the data disk. */
  spoolFolder: string
  maxImageBytes: number
  /** What the uploader says; absent: its GPT tells, else 512. */
  sectorBytes?: SectorBytes | undefined
  /** Of the file that is uploaded, if it is known. */
  fileBytes?: number | undefined
  /** Room that the store has. */
  room?: () => Promise<StoreRoom>
  /** Ends the import with its reason. */
  signal?: AbortSignal | undefined
}

/** An image whose chunks are in the store, and which nobody can find yet. */
export type ImportedImage = {
  manifest: Uint8Array
  digest: Sha256
  info: ImageInfo
}

/** Chunks being hashed and compressed at once: libuv's four threads, and as many waiting. */
const CONCURRENT_CHUNKS = 8

/**
 * Reads a whole upload into the chunk store. Throws ImageRefusedError, what the stream throws when
 * it is cut short, or an error of the store; chunks stored by then are left for the sweep.
 */
export async function importImage(
  body: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<ImportedImage> {
  await using input = new ByteInput(body)
  const upload = await decodeUpload(input, options)
  // Chunks are no smaller than a file that is compressed already; a raw disk may be mostly zeros.
  if (upload.format !== 'raw' && options.fileBytes !== undefined)
    await checkRoom(options.fileBytes, options.room)
  const stored = await storeContent(limited(upload.pieces, options), options.store)
  const { sizeBytes, head, segments } = stored
  checkSize(sizeBytes)

  const imageWith = (sectorBytes: SectorBytes) =>
    encodeManifest({ sizeBytes, sectorBytes, segments })
  const sectorBytes =
    options.sectorBytes ?? detectSectorBytes(head) ?? stampedSectorBytes(upload.stamp, imageWith)
  checkSectors(sizeBytes, sectorBytes)
  const manifest = imageWith(sectorBytes)
  checkStamp(upload, stored, imageWith)
  return { manifest, digest: digestOf(manifest), info: learnInfo(head, sectorBytes) }
}

/** Throws StoreFullError before anything was stored in vain. */
export async function checkRoom(neededBytes: number, room: ImportOptions['room']): Promise<void> {
  if (room) checkRoomFor(await room(), neededBytes, 'The upload')
}

export function digestOf(manifest: Uint8Array): Sha256 {
  return parseSha256(createHash('sha256').update(manifest).digest('hex'))
}

type StoredContent = {
  sizeBytes: number
  /** The first chunk. */
  head: Uint8Array
  segments: (Sha256 | null)[]
  hasZeros: boolean
}

async function storeContent(
  pieces: AsyncIterable<Piece>,
  store: ChunkStore,
): Promise<StoredContent> {
  const buffers = new BufferPool(CONCURRENT_CHUNKS, CHUNK_BYTES)
  const segments = new SegmentWriter((bytes) => storeChunk(store, bytes))
  const running = new Set<Promise<void>>()
  let head = new Uint8Array()
  let sizeBytes = 0
  let hasZeros = false

  async function keep(index: number, content: Uint8Array): Promise<void> {
    await segments.add(index, await storeChunk(store, content))
    buffers.give(content.buffer)
  }

  function start(index: number, content: Uint8Array): void {
    const kept = keep(index, content)
      .catch((err: unknown) => buffers.fail(err))
      .finally(() => running.delete(kept))
    running.add(kept)
  }

  try {
    for await (const cut of cutChunks(pieces, () => buffers.take())) {
      if (cut.index === 0) head = cut.content?.slice() ?? new Uint8Array(cut.contentBytes)
      sizeBytes += cut.contentBytes
      hasZeros ||= !cut.content
      if (!cut.content) await segments.add(cut.index, 'zero')
      else start(cut.index, cut.content)
    }
  } finally {
    await Promise.all(running)
  }
  buffers.throwIfFailed()
  return { sizeBytes, head, segments: await segments.finish(), hasZeros }
}

/** Hashes first: what is here already need not be compressed. */
async function storeChunk(store: ChunkStore, content: Uint8Array): Promise<Sha256> {
  const hash = await hashChunk(content)
  const present = await store.touch([hash])
  if (!present.has(hash)) await store.putIfAbsent(hash, await compressChunk(content))
  return hash
}

async function* limited(
  pieces: AsyncIterable<Piece>,
  { maxImageBytes, signal }: ImportOptions,
): AsyncGenerator<Piece> {
  let sizeBytes = 0
  for await (const piece of pieces) {
    signal?.throwIfAborted()
    sizeBytes += 'zeroBytes' in piece ? piece.zeroBytes : piece.length
    if (sizeBytes > maxImageBytes)
      throw new ImageRefusedError(
        'image-too-large',
        `The image has more than ${maxImageBytes} bytes, the limit of this server; raise ` +
          'STAMPEDE_MAX_IMAGE_BYTES or upload a smaller disk',
      )
    yield piece
  }
}

function checkSize(sizeBytes: number): void {
  if (sizeBytes === 0)
    throw new ImageRefusedError('empty-image', 'The upload is empty; send the content of a disk')
  if (sizeBytes % 512 !== 0)
    throw new ImageRefusedError(
      'odd-size',
      `The image has ${sizeBytes} bytes, which is no multiple of 512: it is not a whole disk, or ` +
        'it was cut short; upload it again',
    )
}

function checkSectors(sizeBytes: number, sectorBytes: SectorBytes): void {
  if (sizeBytes % sectorBytes !== 0)
    throw new ImageRefusedError(
      'odd-size',
      `The image has ${sizeBytes} bytes, which is no multiple of its sector size ${sectorBytes}; ` +
        'upload the whole disk, or give the right sectorSize',
    )
}

type ImageWith = (sectorBytes: SectorBytes) => Uint8Array

/** An export of a disk without a GPT still tells its sector size: only one gives its digest. */
function stampedSectorBytes(stamp: ExportStamp | undefined, imageWith: ImageWith): SectorBytes {
  return stamp && digestOf(imageWith(4096)) === stamp.digest ? 4096 : 512
}

function checkStamp(
  { stamp }: DecodedUpload,
  { sizeBytes, hasZeros }: StoredContent,
  imageWith: ImageWith,
): void {
  if (!stamp) return
  if (sizeBytes < stamp.sizeBytes)
    throw new ImageRefusedError(
      'corrupt-upload',
      `The export was cut short: it holds ${sizeBytes} of ${stamp.sizeBytes} bytes; upload it again`,
    )
  if (sizeBytes > stamp.sizeBytes)
    throw new ImageRefusedError(
      'corrupt-upload',
      `The export holds more than its image: ${sizeBytes} bytes instead of ${stamp.sizeBytes}; upload nothing but one export`,
    )
  // Unused chunks went out as zeros, so the digest of an image that may have some can differ.
  const digests = ([512, 4096] as const).map((size) => digestOf(imageWith(size)))
  if (!hasZeros && !digests.includes(stamp.digest))
    throw new ImageRefusedError(
      'corrupt-upload',
      `The content is not that of image ${stamp.digest}, which the export says it is; upload it again`,
    )
}
