import { randomUUIDv7 } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { Upload, UploadRequest } from '#protocol/image/upload.ts'
import { ConflictError, NotFoundError, RequestError, UnavailableError } from '../http/errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { startUpload, UPLOAD_IDLE_SECONDS, type KeptUpload } from './kept-upload.ts'

/** Each keeps a decoder and its buffers. */
const MAX_OPEN_UPLOADS = 8
/** How long, and how many, uploads that ended can still be asked about. */
const REMEMBERED_SECONDS = 3600
const MAX_REMEMBERED = 1000
const EXPIRE_MILLISECONDS = 30_000

export interface OpenUploads extends AsyncDisposable {
  /** Throws ConflictError, UnavailableError, or why there can be no such image. */
  create(request: UploadRequest, createdBy?: string): Promise<Upload>
  /** One that is open or ended of late. Throws NotFoundError, or RequestError (410). */
  get(id: string): Promise<KeptUpload>
  /** Those that have not ended, oldest first. */
  list(): Upload[]
  cancel(id: string): Promise<void>
  /** Gives all of them up: the server stops. */
  stop(): Promise<void>
}

export interface OpenUploadsOptions {
  library: ImageLibrary
  log: FastifyBaseLogger
  now: () => Date
}

/** The uploads of this server that can be gone on with. They end with its process. */
export function openUploads({ library, log, now }: OpenUploadsOptions): OpenUploads {
  const open = new Map<string, KeptUpload>()
  const ended = new Map<string, { upload: KeptUpload; at: Date }>()
  /** By the clock that ids are made from. */
  const startedMilliseconds = Date.now()
  let isStopping = false

  function start(id: string, request: UploadRequest, createdBy?: string): KeptUpload {
    const upload = startUpload({ id, request, createdBy, library, now })
    open.set(id, upload)
    void upload.ended.then(() => {
      open.delete(id)
      ended.set(id, { upload, at: now() })
      if (ended.size > MAX_REMEMBERED) ended.delete(ended.keys().next().value!)
      const { cause: err } = upload.failure ?? {}
      if (err) log.warn({ err, upload: id, image: upload.name }, 'Upload came to nothing')
    })
    return upload
  }

  function checkMayOpen({ name }: UploadRequest): void {
    if (isStopping) throw stopping()
    for (const other of open.values())
      if (other.name === name)
        throw new ConflictError(
          `Image "${name}" is being uploaded already; go on with that upload, or cancel it`,
          'upload-open',
          { upload: other.show() },
        )
    if (open.size >= MAX_OPEN_UPLOADS)
      throw new UnavailableError(
        `${open.size} uploads are open, as many as this server keeps; wait for one to end, or cancel one`,
        'too-many-uploads',
      )
  }

  /** Whoever let it lie is told so when it comes back. */
  async function expire(): Promise<void> {
    const idleSince = new Date(now().getTime() - UPLOAD_IDLE_SECONDS * 1000)
    const forgotten = new Date(now().getTime() - REMEMBERED_SECONDS * 1000)
    for (const [id, { at }] of ended) if (at <= forgotten) ended.delete(id)
    const idle = [...open.values()].filter((upload) => upload.isIdleSince(idleSince))
    await Promise.all(idle.map((upload) => upload.cancel(expired())))
  }

  async function stop(): Promise<void> {
    isStopping = true
    await Promise.all([...open.values()].map((upload) => upload.cancel(stopping())))
  }

  async function get(id: string): Promise<KeptUpload> {
    await expire()
    const upload = open.get(id) ?? ended.get(id)?.upload
    if (!upload) throw unknown(id, startedMilliseconds)
    return upload
  }

  const timer = setInterval(() => {
    expire().catch((err: unknown) => log.error({ err }, 'Failed to look after uploads'))
  }, EXPIRE_MILLISECONDS)

  return {
    async create(request, createdBy) {
      await expire()
      await library.checkRoom(request)
      checkMayOpen(request)
      return start(randomUUIDv7(), request, createdBy).show()
    },

    get,

    list: () => [...open.values()].map((upload) => upload.show()),

    async cancel(id) {
      const upload = await get(id)
      await upload.cancel(cancelled())
      if (upload.isDone)
        throw new ConflictError(
          `The upload has become image "${upload.name}"; delete that instead`,
          'upload-done',
        )
    },

    stop,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await stop()
    },
  }
}

function expired(): RequestError {
  return new RequestError(
    410,
    'upload-expired',
    `Nothing came for ${UPLOAD_IDLE_SECONDS / 60} minutes, so the upload was given up; begin anew`,
  )
}

function cancelled(): RequestError {
  return new RequestError(410, 'upload-cancelled', 'The upload was cancelled; begin anew')
}

function stopping(): RequestError {
  return new UnavailableError('The server stops; begin the upload anew when it is back', 'stopping')
}

/** Ids are UUIDv7, which tell when they were made: before this process there were others. */
function unknown(id: string, startedMilliseconds: number): RequestError {
  const madeMilliseconds = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
  if (madeMilliseconds < startedMilliseconds)
    return new RequestError(
      410,
      'upload-lost',
      'The server was restarted since this upload began, and what had come is gone; begin anew',
    )
  return new NotFoundError(`There is no upload ${id}`)
}
