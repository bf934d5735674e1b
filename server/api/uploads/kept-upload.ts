import type { Image } from '#protocol/image/image-info.ts'
import type { Upload, UploadRequest } from '#protocol/image/upload.ts'
import { ByteHandover } from '#server/images/import/byte-handover.ts'
import { ConflictError, UnprocessableError } from '../http/errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'

/** An upload that nobody went on with for so long is given up. */
export const UPLOAD_IDLE_SECONDS = 15 * 60

/** A part of the file, as it comes over one connection. */
export interface UploadPiece {
  content: AsyncIterable<Uint8Array>
  /** Ends the connection, so that `content` throws. */
  cut: () => void
}

/** A piece that begins elsewhere than where the last one ended. */
export class WrongOffsetError extends ConflictError {
  override name = 'WrongOffsetError'
  readonly offset: number
  constructor(given: number, offset: number) {
    super(
      `The piece begins at byte ${given}, but the upload has come to byte ${offset}; go on there`,
      'wrong-offset',
      { offset },
    )
    this.offset = offset
  }
}

export interface KeptUpload {
  readonly id: string
  readonly name: string
  /** As it is now. */
  show(): Upload
  /** Why it came to nothing, if it did. */
  readonly failure: { cause: unknown } | undefined
  readonly isDone: boolean
  /** Nobody sends anything, nor is anything being made of what came. */
  isIdleSince(moment: Date): boolean
  /**
   * Takes a piece; the image, if it was the last one. Throws WrongOffsetError, what the piece throws
   * when it is cut (what came by then counts), or why the upload came to nothing.
   */
  append(offset: number, piece: UploadPiece): Promise<Image | undefined>
  /** Gives it up for this reason, unless it has become an image by now. */
  cancel(cause: unknown): Promise<void>
  /** Resolves when it ended, either way. */
  readonly ended: Promise<void>
}

export interface KeptUploadOptions {
  id: string
  request: UploadRequest
  /** Whose it is. */
  createdBy?: string | undefined
  library: ImageLibrary
  now: () => Date
}

/**
 * One import that lasts from the first piece of a file to the last, whatever happens to connections in
 * between. The decoder takes bytes when it can use them, so a slow one slows the uploader down.
 */
export function startUpload({
  id,
  request,
  createdBy,
  library,
  now,
}: KeptUploadOptions): KeptUpload {
  const { name, sizeBytes, fileName, sectorSize, description, promote } = request
  const feed = new ByteHandover()
  const stop = new AbortController()
  const startedAt = now()
  let touchedAt = startedAt
  let failure: { cause: unknown } | undefined
  let state: Upload['state'] = 'receiving'
  /** The piece that is being received, and the end of that. */
  let current: { cut: () => void; over: Promise<void> } | undefined

  const result = library.upload({
    name,
    body: feed,
    sectorBytes: sectorSize,
    fileBytes: sizeBytes,
    fileName,
    description,
    promote,
    createdBy,
    signal: stop.signal,
  })
  const ended = result.then(
    () => {
      state = 'done'
      feed.close()
    },
    (cause: unknown) => {
      failure = { cause: stop.signal.aborted ? stop.signal.reason : cause }
      feed.close()
    },
  )

  async function outcome(): Promise<Image> {
    await ended
    if (failure) throw failure.cause
    return result
  }

  function checkOffset(given: number): void {
    if (given !== feed.takenBytes) throw new WrongOffsetError(given, feed.takenBytes)
  }

  async function append(offset: number, piece: UploadPiece): Promise<Image | undefined> {
    if (failure) throw failure.cause
    checkOffset(offset)
    if (state !== 'receiving') return outcome()
    // The uploader came back before we noticed that its old connection is dead.
    while (current) {
      current.cut()
      await current.over
    }
    checkOffset(offset)
    const over = Promise.withResolvers<void>()
    const cut = () => {
      piece.cut()
      feed.withdraw(new ConflictError('Another connection goes on with this upload'))
    }
    current = { cut, over: over.promise }
    try {
      await receive(piece)
    } finally {
      current = undefined
      touchedAt = now()
      over.resolve()
    }
    return state === 'receiving' && !feed.isClosed ? undefined : outcome()
  }

  async function receive(piece: UploadPiece): Promise<void> {
    for await (const bytes of piece.content) {
      if (feed.takenBytes + bytes.length > sizeBytes) return giveUp(tooLong(sizeBytes))
      await feed.give(bytes)
      if (feed.isClosed) return
    }
    if (feed.takenBytes < sizeBytes) {
      // So that what is wrong with this piece is said about this one.
      await feed.idle()
      return
    }
    state = 'finishing'
    feed.end()
  }

  function giveUp(cause: unknown): void {
    stop.abort(cause)
    feed.fail(cause)
  }

  return {
    id,
    name,
    ended,
    append,
    get failure() {
      return failure
    },
    get isDone() {
      return state === 'done'
    },
    isIdleSince: (moment) => !current && state === 'receiving' && touchedAt <= moment,

    show() {
      const idleFrom = current || state === 'finishing' ? now() : touchedAt
      return {
        id,
        name,
        ...(fileName !== undefined && { fileName }),
        offset: feed.takenBytes,
        sizeBytes,
        state,
        startedAt: startedAt.toISOString(),
        expiresAt: new Date(idleFrom.getTime() + UPLOAD_IDLE_SECONDS * 1000).toISOString(),
      }
    },

    async cancel(cause) {
      if (!failure && state !== 'done') {
        giveUp(cause)
        current?.cut()
      }
      await ended
    },
  }
}

function tooLong(sizeBytes: number): UnprocessableError {
  return new UnprocessableError(
    `More came than the ${sizeBytes} bytes that the upload was announced with; begin anew with the size of the file`,
    'upload-too-long',
  )
}
