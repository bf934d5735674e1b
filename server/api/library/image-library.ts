import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Image, ImageInfo } from '#protocol/image/image-info.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import type { CheckImage } from '#server/db/images/image-changes.ts'
import { applyRetention } from '#server/db/images/image-retention.ts'
import type { VersionOrigin } from '#server/db/images/image-versions.ts'
import type { RetentionRule } from '#protocol/image/image-version.ts'
import { findImage, findManifest, saveImage } from '#server/db/images/image-queries.ts'
import {
  closeUpload,
  endUpload,
  findOpenUpload,
  SERVER_UPLOAD,
  touchUpload,
} from '#server/db/images/uploads.ts'
import { checkImage, parseManifest } from '#server/images/commit/check-image.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import type { CommitLock } from '#server/images/commit/commit-lock.ts'
import { ImageRefusedError } from '#server/images/import/import-error.ts'
import {
  checkRoom,
  digestOf,
  importImage,
  type SectorBytes,
} from '#server/images/import/import-image.ts'
import { measureRoom, type StoreRoom } from '#server/images/store/store-room.ts'
import { createImageExports, type ImageExports } from './image-exports.ts'
import { createChunkSets } from './chunk-sets.ts'
import { createImageStatistics, type StoreStatistics } from './image-statistics.ts'
import { openImageSweeps } from './image-sweeps.ts'
import { watchRefusedUploads } from './refused-uploads.ts'
import { createSweepClock, type SweepClock } from './sweep-clock.ts'

export interface ImageLibraryOptions {
  database: OpenedDatabase
  store: ChunkStore
  lock: CommitLock
  spoolFolder: string
  maxImageBytes: number
  /** Room in the store; absent: no limit known. `usedBytes`: of all chunks, as last counted. */
  room?: (usedBytes: number) => Promise<StoreRoom>
  /** A chunk was found that is not what its image says of it, or missed. */
  onDamaged?: (hash: Sha256, reason: string) => void
  /** How many chunks an image lacks that somebody is about to be given; absent: as far as it is known. */
  lacking?: (digest: Sha256) => Promise<number>
  /** An image is about to take what was put for it. */
  onCommit?: () => void
  /** A sweep begins; what this gives is called once all chunks that were put before belong to images. */
  onSweep?: () => () => void
  /** Of an export in hand another server may not know yet: what was replaced stays this long at least. */
  replacedGraceSeconds?: number
  /** Which versions of an image are kept, if nothing else was said of it. */
  retention?: RetentionRule
  log: FastifyBaseLogger
  /** When links expire. All else goes by the clock of the store's file system. */
  now: () => Date
  /** For tests that cannot set the clock. */
  sweepClock?: SweepClock
}

export interface Upload extends VersionOrigin {
  name: string
  body: AsyncIterable<Uint8Array>
  sectorBytes: SectorBytes | undefined
  /** Any other size is refused: that of the disk that it should be the whole of. */
  sizeBytes?: number
  /** Where it came from, for people; by default its file. */
  source?: string | undefined
  fileName?: string | undefined
  /** Of the file, compressed or not, if it is known. */
  fileBytes?: number | undefined
  description?: string | undefined
  /** Gives the upload up, with its reason. */
  signal?: AbortSignal | undefined
  /** Looks at the image that is about to be replaced, under a lock; throws to refuse. */
  check?: CheckImage | undefined
}

/** What is known of an image beside its content. */
export interface ImageDetails extends VersionOrigin {
  info?: ImageInfo
  fileName?: string | undefined
  description?: string | undefined
  check?: CheckImage | undefined
}

/** More decoders than these would only slow each other down. */
export class TooManyUploadsError extends Error {
  override name = 'TooManyUploadsError'
}

export interface ImageLibrary extends AsyncDisposable {
  readonly store: ChunkStore
  /** Reads an upload to its end and makes an image of it. */
  upload(upload: Upload): Promise<Image>
  /** Throws what `upload` would throw in any case, as far as can be told from the file alone. */
  checkRoom(file: { sizeBytes: number; fileName?: string | undefined }): Promise<void>
  /** Makes an image of chunks that are in the store. `holder` put them. */
  commit(name: string, manifest: Uint8Array, holder: string, details?: ImageDetails): Promise<Image>
  /** Keeps what the holder stores from being swept. Cheap when called for every chunk. */
  touch(holder: string): Promise<void>
  /** There was no room for a chunk of the holder's: unless it goes on, what it stored is garbage soon. */
  refused(holder: string): void
  /** As `.img.gz`, unless another format is asked for. */
  findExport: ImageExports['find']
  openDisk: ImageExports['openDisk']
  /** Whether the chunk, or segment, is one of the image with this digest. */
  isChunkOf(hash: Sha256, digest: Sha256): Promise<boolean>
  /** Removes the chunks that nothing needs, in the background. */
  sweepSoon(): void
  /** The same at once; how many chunks that were. */
  sweep(): Promise<number>
  /** What all images take, as of the last count, which is at most seconds old. */
  statistics(): Promise<StoreStatistics>
  room(): Promise<StoreRoom>
  readonly lock: CommitLock
  /** Whether this server is reading or sending images, and when it last was. */
  activity(): { isBusy: boolean; lastAt: number; sweptAt: Date | undefined }
}

/** An open upload is written down again this often; idle ones end after a day. */
const TOUCH_MILLISECONDS = 60_000
/** Decoders at once, those of uploads that wait for their next piece included. */
const MAX_UPLOADS = 32
/** How long a commit waits to be told what the image shares; a large store takes longer. */
const COUNT_MILLISECONDS = 500
const NO_LIMITS = { freeBytes: undefined, totalBytes: undefined, quotaBytes: undefined }
const KEEP_ALL: RetentionRule = { keepVersions: null, keepDays: null }
const COMPRESSED_FILE = /\.(gz|xz|zst|bz2|qcow2)$/i

/** The images of one server: store, database and lock brought together. */
export function openImageLibrary(options: ImageLibraryOptions): ImageLibrary {
  const { database, store, lock, log, now, retention = KEEP_ALL } = options
  const { db } = database
  /** By a clock that nobody sets. */
  const touchedAt = new Map<string, number>()
  const clock = options.sweepClock ?? createSweepClock()
  const { onDamaged, lacking, onSweep, replacedGraceSeconds } = options
  const exports = createImageExports({ db, store, log, onDamaged, lacking })
  const chunkSets = createChunkSets(store, (digest) => findManifest(db, digest))
  const counting = createImageStatistics(db, store)
  const sweeps = openImageSweeps({
    db,
    store,
    lock,
    exports,
    statistics: counting,
    clock,
    retention,
    onSweep,
    replacedGraceSeconds,
    log,
    now,
  })
  const refusals = watchRefusedUploads((upload) => {
    touchedAt.delete(upload.holder)
    endUpload(db, upload).then(
      () => sweeps.sweepSoon(),
      (err: unknown) => log.warn({ err, upload }, 'Upload could not be ended'),
    )
  })
  let uploading = 0
  // Who starts a server is about to use it.
  let lastActiveAt = Date.now()

  async function touch(holder: string): Promise<void> {
    lastActiveAt = Date.now()
    refusals.forget(holder)
    const last = touchedAt.get(holder)
    if (clock.wasSetBack()) touchedAt.clear()
    else if (last !== undefined && performance.now() - last < TOUCH_MILLISECONDS) return
    await touchUpload(db, holder, new Date())
    touchedAt.set(holder, performance.now())
  }

  async function close(holder: string): Promise<void> {
    touchedAt.delete(holder)
    refusals.forget(holder)
    await closeUpload(db, holder)
  }

  async function commit(
    name: string,
    manifest: Uint8Array,
    holder: string,
    { info = {}, check, ...details }: ImageDetails = {},
  ): Promise<Image> {
    const parsed = parseManifest(manifest)
    checkLimit(parsed.sizeBytes)
    await touch(holder)
    const image = await lock.shared(async () => {
      const checked = await checkImage(store, parsed)
      await store.flush()
      const digest = digestOf(manifest)
      const saved = { name, digest, manifest, info, ...details, ...checked }
      options.onCommit?.()
      return saveImage(db, saved, new Date(), check)
    })
    await applyRetention(db, retention, { now: now(), today: new Date() }, name)
    await database.flush()
    await close(holder)
    sweeps.sweepSoon() // what the name meant before may be garbage now
    await Promise.race([sweeps.nextCount(), sleep(COUNT_MILLISECONDS, undefined, { ref: false })])
    const shown = await findImage(db, details.promote === false ? `${name}@${image.version}` : name)
    return shown?.digest === image.digest ? shown : image
  }

  async function room(): Promise<StoreRoom> {
    const { storedBytes } = await counting.read()
    return options.room
      ? await options.room(storedBytes)
      : measureRoom({ ...NO_LIMITS, usedBytes: storedBytes })
  }

  function checkLimit(sizeBytes: number): void {
    if (sizeBytes > options.maxImageBytes)
      throw new ImageRefusedError(
        'image-too-large',
        `The image has ${sizeBytes} bytes, but this server takes ${options.maxImageBytes} at most; raise STAMPEDE_MAX_IMAGE_BYTES`,
      )
  }

  async function upload(given: Upload): Promise<Image> {
    if (uploading >= MAX_UPLOADS)
      throw new TooManyUploadsError(
        `${uploading} uploads are being read, as many as this server does at once; try again when one has ended`,
      )
    uploading++
    try {
      return await receive(given)
    } finally {
      uploading--
    }
  }

  async function receive({ name, body, sizeBytes, ...given }: Upload): Promise<Image> {
    const { fileName, description, check, createdBy, runId, promote } = given
    const source = given.source ?? (fileName && `upload of ${fileName}`)
    const holder = SERVER_UPLOAD + randomUUID()
    await database.checkRoom()
    await touch(holder)
    const touching = setInterval(() => {
      touch(holder).catch((err: unknown) => log.warn({ err, holder }, 'Upload could not be kept'))
    }, TOUCH_MILLISECONDS)
    try {
      const imported = await importImage(body, { ...options, room, ...given })
      if (sizeBytes !== undefined) checkWhole(imported.manifest, sizeBytes)
      given.signal?.throwIfAborted()
      const info = { ...imported.info, ...(source !== undefined && { source }) }
      const origin = { createdBy, runId, promote }
      const details = { info, fileName, description, check, ...origin }
      return await commit(name, imported.manifest, holder, details)
    } catch (err) {
      await close(holder)
      sweeps.sweepSoon()
      throw err
    } finally {
      clearInterval(touching)
    }
  }

  return {
    store,
    upload,
    commit,
    touch,
    refused(holder) {
      findOpenUpload(db, holder).then(
        (upload) => upload && refusals.refused(upload),
        (err: unknown) => log.warn({ err, holder }, 'Upload will be ended late'),
      )
    },
    sweep: () => sweeps.sweep(),
    sweepSoon: () => sweeps.sweepSoon(),
    statistics: () => counting.read(),
    room,
    lock,
    activity: () => {
      const isBusy = uploading > 0 || exports.oldestStart() !== undefined
      if (isBusy) lastActiveAt = Date.now()
      return { isBusy, lastAt: lastActiveAt, sweptAt: sweeps.sweptAt() }
    },

    async checkRoom({ sizeBytes, fileName }) {
      checkLimit(sizeBytes)
      await database.checkRoom()
      const neededBytes = COMPRESSED_FILE.test(fileName ?? '') ? sizeBytes : 1
      await checkRoom(neededBytes, room)
    },

    findExport: exports.find,
    openDisk: exports.openDisk,

    isChunkOf: (hash, digest) => chunkSets.has(hash, digest),

    async [Symbol.asyncDispose]() {
      refusals[Symbol.dispose]()
      await sweeps[Symbol.asyncDispose]()
    },
  }
}

/** A reader that gave up in the middle of a disk may still have ended its stream properly. */
function checkWhole(manifest: Uint8Array, expectedBytes: number): void {
  const { sizeBytes } = parseManifest(manifest)
  if (sizeBytes === expectedBytes) return
  throw new ImageRefusedError(
    'not-the-whole-disk',
    `The upload holds ${sizeBytes} bytes, but the last inventory says that the disk has ${expectedBytes}; capture it again, or take an inventory if the disk was changed`,
  )
}
