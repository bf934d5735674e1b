import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import type { Sha256 } from '#protocol/sha256.ts'
import { UPLOAD_HEADER } from '#protocol/image/upload-header.ts'
import type { Database } from '#server/db/database.ts'
import { closeUpload, goOnReading, readHolder, touchUpload } from '#server/db/images/uploads.ts'
import { uploadHolder } from '../library/principal-images.ts'

/**
 * Whoever deploys or pulls an image by hand, chunk by chunk: no run pins it, and it may lose its name meanwhile. A
 * disk that was begun must not be left half written for that.
 */
export interface ImageReaders {
  /** Keeps all that the image consists of, from the asking for its manifest on, if `find` finds that. */
  begin<Found>(
    request: FastifyRequest,
    digest: Sha256,
    find: () => Promise<Found | undefined>,
  ): Promise<Found | undefined>
  /** It reads on. Cheap when called for every chunk. */
  goOn(request: FastifyRequest): void
}

const TOUCH_MILLISECONDS = 60_000
/** Readers whose last touch is remembered; beyond these, all are forgotten and touched once more. */
const MAX_REMEMBERED = 4096

export function createImageReaders(db: Database, log: FastifyBaseLogger): ImageReaders {
  /** By a clock that nobody sets. */
  const touchedAt = new Map<string, number>()

  function remember(reader: string): void {
    if (touchedAt.size >= MAX_REMEMBERED) touchedAt.clear()
    touchedAt.set(reader, performance.now())
  }

  return {
    async begin(request, digest, find) {
      const reader = readerOf(request)
      if (reader === undefined) return await find()
      const holder = readHolder(digest, reader)
      // A full database is no reason not to deploy.
      await touchUpload(db, holder, new Date()).catch((err: unknown) =>
        log.warn({ err, digest }, 'Image could not be kept for its reader'),
      )
      remember(reader)
      const found = await find()
      if (!found) await closeUpload(db, holder)
      return found
    },

    goOn(request) {
      const reader = readerOf(request)
      if (reader === undefined) return
      const last = touchedAt.get(reader)
      if (last !== undefined && performance.now() - last < TOUCH_MILLISECONDS) return
      remember(reader)
      goOnReading(db, reader, new Date()).catch((err: unknown) =>
        log.warn({ err, reader }, 'Image could not be kept for its reader'),
      )
    },
  }
}

/** Whether a person reads chunk by chunk what they may also deploy. */
export function isReading(request: FastifyRequest): boolean {
  const { principal } = request
  return (
    readerOf(request) !== undefined && principal.kind === 'person' && principal.role !== 'viewer'
  )
}

/** Undefined for an agent, whose run pins its image, and for whoever does not tell its readings apart. */
function readerOf(request: FastifyRequest): string | undefined {
  if (request.principal.kind !== 'person') return undefined
  return request.headers[UPLOAD_HEADER] === undefined ? undefined : uploadHolder(request)
}
