import { randomUUIDv7 } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { ImagePull, PullRequest } from '#protocol/image/image-pull.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import type { CheckImage } from '#server/db/images/image-changes.ts'
import {
  endPull,
  failLostPulls,
  findPull,
  findRunningPull,
  insertPull,
  listPulls,
  prunePulls,
  requestPullCancel,
  RESTARTED,
  toPull,
  touchPull,
} from '#server/db/images/image-pulls.ts'
import { checkUrl, PullError, pullSource } from '#server/images/import/pull-source.ts'
import { ConflictError, NotFoundError, RequestError, UnavailableError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'

export interface ImagePulls extends AsyncDisposable {
  /** Throws ConflictError, UnavailableError, or why this URL is not fetched. */
  start(name: string, request: PullRequest, by: string, check?: CheckImage): Promise<ImagePull>
  get(id: string): Promise<ImagePull>
  list(): Promise<ImagePull[]>
  cancel(id: string): Promise<void>
  /** Gives all of them up: the server stops. */
  stop(): Promise<void>
}

export interface ImagePullsOptions {
  database: OpenedDatabase
  /** No other server works on the database: what runs in it was lost. */
  isAlone: boolean
  library: ImageLibrary
  allowsLocal: boolean
  maxImageBytes: number
  log: FastifyBaseLogger
}

const MAX_PULLS = 4
const TELL_MILLISECONDS = 2000
/** A server that said nothing of a pull for so long is gone. */
const LOST_MILLISECONDS = 60_000
const LOOK_MILLISECONDS = 15_000

class PullCancelled extends Error {
  override name = 'PullCancelled'
}

interface Working {
  image: string
  /** All that is left is to note its end: another one of the same image may begin. */
  isOver: boolean
  bytesDone: number
  bytesTotal: number | null
  stop: AbortController
  ended: Promise<void>
}

/** Images that this server fetches from URLs. What it is at is in the database, for all servers to tell. */
export async function openImagePulls(options: ImagePullsOptions): Promise<ImagePulls> {
  const { database, library, allowsLocal, maxImageBytes, log } = options
  const { db } = database
  const working = new Map<string, Working>()
  let isStopping = false

  async function lookForLost(isFirst: boolean): Promise<void> {
    const now = new Date()
    const silentSince = isFirst && options.isAlone ? undefined : new Date(+now - LOST_MILLISECONDS)
    await failLostPulls(db, { silentSince, except: [...working.keys()] }, now)
    await prunePulls(db, now)
  }

  /** Looks at a pull of ours: tells how far it is, and hears whether it is to go on. */
  async function tell(id: string, { bytesDone, bytesTotal, stop }: Working): Promise<void> {
    const { cancelRequested } = await touchPull(db, id, { bytesDone, bytesTotal }, new Date())
    if (cancelRequested) stop.abort(new PullCancelled('The pull was cancelled'))
  }

  async function work(
    id: string,
    name: string,
    { url, sha256, headers, sectorSize, description, promote }: PullRequest,
    { by, check, state }: { by: string; check: CheckImage | undefined; state: Working },
  ): Promise<void> {
    const { signal } = state.stop
    let isWhole = false
    async function* body() {
      const onProgress = (bytesDone: number, bytesTotal: number | undefined) =>
        Object.assign(state, { bytesDone, bytesTotal: bytesTotal ?? null })
      const maxBytes = maxImageBytes
      yield* pullSource({ url, sha256, headers, allowsLocal, maxBytes, signal, onProgress })
      isWhole = true
    }
    const telling = setInterval(() => {
      tell(id, state).catch((err: unknown) => log.warn({ err, pull: id }, 'Pull was not noted'))
    }, TELL_MILLISECONDS)
    try {
      const image = await library.upload({
        name,
        body: body(),
        sectorBytes: sectorSize,
        fileName: fileNameOf(url),
        source: `pull of ${shownUrl(url)}`,
        description,
        createdBy: by,
        promote,
        signal,
        check(current) {
          // A decoder that ends before its file does must not get round the checksum.
          if (!isWhole) throw new PullError('pull-broken', 'The file goes on after its content')
          check?.(current)
        },
      })
      const { version, digest } = image
      const { bytesDone, bytesTotal } = state
      state.isOver = true
      const end = {
        state: 'done',
        version,
        digest: digest as never,
        bytesDone,
        bytesTotal,
      } as const
      await endPull(db, id, end, new Date())
    } catch (err) {
      const reason: unknown = signal.aborted ? signal.reason : err
      const isCancelled = reason instanceof PullCancelled
      log.warn({ err: reason, pull: id, image: name }, 'Pull came to nothing')
      const { bytesDone, bytesTotal } = state
      state.isOver = true
      await endPull(
        db,
        id,
        {
          state: isCancelled ? 'cancelled' : 'failed',
          error: isCancelled ? null : errorOf(reason),
          bytesDone,
          bytesTotal,
        },
        new Date(),
      )
    } finally {
      clearInterval(telling)
      await database.flush()
    }
  }

  async function stop(): Promise<void> {
    isStopping = true
    const stopped = new RequestError(503, RESTARTED.code, RESTARTED.message)
    for (const each of working.values()) each.stop.abort(stopped)
    await Promise.all([...working.values()].map(({ ended }) => ended))
  }

  await lookForLost(true)
  const timer = setInterval(() => {
    lookForLost(false).catch((err: unknown) => log.error({ err }, 'Failed to look after pulls'))
  }, LOOK_MILLISECONDS)

  function withProgress(pull: ImagePull): ImagePull {
    const own = working.get(pull.id)
    if (!own || pull.state !== 'running') return pull
    return { ...pull, bytesDone: own.bytesDone, bytesTotal: own.bytesTotal }
  }

  async function get(id: string): Promise<ImagePull> {
    const row = await findPull(db, id)
    if (!row) throw new NotFoundError(`There is no pull ${id}`)
    return withProgress(toPull(row))
  }

  return {
    async start(name, request, by, check) {
      if (isStopping) throw new UnavailableError('The server stops; ask again when it is back')
      try {
        checkUrl(request.url, allowsLocal)
      } catch (err) {
        rethrowImageError(err)
      }
      const other = await findRunningPull(db, name)
      const busy = [...working.values()].filter(({ isOver }) => !isOver)
      if (other || busy.some(({ image }) => image === name))
        throw new ConflictError(
          `Image "${name}" is being fetched already; wait for its end, or cancel it`,
          'pull-running',
          other && { pull: withProgress(toPull(other)) },
        )
      if (busy.length >= MAX_PULLS)
        throw new UnavailableError(
          `${busy.length} images are being fetched, as many as this server does at once; wait for one to end, or cancel one`,
          'too-many-pulls',
        )
      const id = randomUUIDv7()
      const state: Working = {
        image: name,
        isOver: false,
        bytesDone: 0,
        bytesTotal: null,
        stop: new AbortController(),
        ended: Promise.resolve(),
      }
      working.set(id, state)
      try {
        await insertPull(
          db,
          { id, image: name, url: shownUrl(request.url), createdBy: by },
          new Date(),
        )
      } catch (err) {
        working.delete(id)
        throw err
      }
      state.ended = work(id, name, request, { by, check, state })
        .catch((err: unknown) => log.error({ err, pull: id }, 'The end of a pull was not noted'))
        .finally(() => working.delete(id))
      return get(id)
    },

    get,
    list: async () => (await listPulls(db)).map((row) => withProgress(toPull(row))),

    async cancel(id) {
      await get(id)
      if (!(await requestPullCancel(db, id))) throw hasEnded(await get(id))
      const own = working.get(id)
      own?.stop.abort(new PullCancelled('The pull was cancelled'))
      await own?.ended
      const after = await get(id)
      // Its image was being committed already.
      if (after.state === 'done') throw hasEnded(after)
    },

    stop,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await stop()
    },
  }
}

function hasEnded({ state, image }: ImagePull): ConflictError {
  return new ConflictError(
    state === 'done'
      ? `The pull has become image "${image}"; delete that instead`
      : `The pull has ended already: it is ${state}`,
    'pull-ended',
  )
}

/** Without what may be secret in it. */
export function shownUrl(text: string): string {
  const { protocol, host, pathname } = new URL(text)
  return `${protocol}//${host}${pathname}`
}

/** The last part of the path, as it is shown; undefined if it has none. */
function fileNameOf(url: string): string | undefined {
  const last = new URL(url).pathname.split('/').at(-1)!
  let name = last
  try {
    name = decodeURIComponent(last)
  } catch {
    // as it is then
  }
  const shown = name.replaceAll(/\p{Cc}/gu, '').slice(0, 200)
  return shown === '' ? undefined : shown
}

function errorOf(err: unknown): { code: string; message: string } {
  if (err instanceof PullError) return { code: err.code, message: err.message }
  try {
    return rethrowImageError(err)
  } catch (told) {
    if (told instanceof RequestError) return { code: told.code, message: told.message }
    return { code: 'internal', message: 'Something failed in the server; its log says what' }
  }
}
