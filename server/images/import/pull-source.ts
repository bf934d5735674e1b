import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImageRefusedError } from './import-error.ts'
import { checkHost, guardedLookup } from './pull-address.ts'

export interface PullSourceOptions {
  url: string
  /** Of the file as it comes. */
  sha256?: string | undefined
  /** For the origin of the URL only. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Also from this server itself and its link. */
  allowsLocal: boolean
  maxBytes: number
  signal: AbortSignal
  /** Bytes that came, and how many there will be, if that is known. */
  onProgress: (bytesDone: number, bytesTotal: number | undefined) => void
}

/** Why the other server gave us nothing; said to people. */
export class PullError extends Error {
  override name = 'PullError'
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

const MAX_REDIRECTS = 5
const ANSWER_MILLISECONDS = 30_000
const IDLE_MILLISECONDS = 60_000
/** In a row, without a byte in between. */
const MAX_TRIES = 5
const FIRST_WAIT_MILLISECONDS = 500
const MAX_SHOWN_CHARACTERS = 200
const USER_AGENT = 'Stampede'

/** What tells that a file is the one that we have the beginning of. */
interface Version {
  etag: string | undefined
  lastModified: string | undefined
  totalBytes: number | undefined
}

/**
 * The bytes at a URL, from the first to the last. A connection that breaks is gone on with where it
 * broke, if the other server can do that for the very same file. Throws PullError, ImageRefusedError, or
 * the reason of the signal; also at the end, if the checksum is another.
 */
export async function* pullSource(options: PullSourceOptions): AsyncGenerator<Uint8Array> {
  const { sha256, maxBytes, signal, onProgress } = options
  const hash = createHash('sha256')
  let bytesDone = 0
  let version: Version | undefined
  let failures = 0
  for (;;) {
    let failure: unknown
    const before = bytesDone
    let response: IncomingMessage | undefined
    try {
      response = await open(options, bytesDone, version)
      version ??= versionOf(response)
      checkSize(version.totalBytes, maxBytes)
      onProgress(bytesDone, version.totalBytes)
      for await (const bytes of response as AsyncIterable<Uint8Array>) {
        bytesDone += bytes.length
        checkSize(bytesDone, maxBytes)
        hash.update(bytes)
        onProgress(bytesDone, version.totalBytes)
        yield bytes
      }
      if (version.totalBytes === undefined || bytesDone === version.totalBytes) break
      failure = new Error(`it ended after ${bytesDone} of ${version.totalBytes} bytes`)
    } catch (err) {
      signal.throwIfAborted()
      if (err instanceof PullError || err instanceof ImageRefusedError) throw err
      failure = err
    } finally {
      response?.destroy()
    }
    if (bytesDone > before) failures = 0
    if (++failures > MAX_TRIES || (bytesDone > 0 && !canGoOn(version)))
      throw new PullError(
        'pull-broken',
        bytesDone === 0
          ? `Nothing came from ${hostOf(options.url)} in ${failures} attempts (${reasonOf(failure)}); look whether it works, and fetch it again`
          : `The connection to ${hostOf(options.url)} broke after ${bytesDone} bytes (${reasonOf(failure)})${!canGoOn(version) ? ', and that server cannot go on there' : ''}; fetch it again`,
        { cause: failure },
      )
    await sleep(FIRST_WAIT_MILLISECONDS * 2 ** (failures - 1), undefined, { signal })
  }
  const found = hash.digest('hex')
  if (sha256 !== undefined && found !== sha256)
    throw new ImageRefusedError(
      'wrong-checksum',
      `The file has the SHA-256 ${found}, not ${sha256}; nothing was made of it`,
    )
}

/** Throws ImageRefusedError for a URL that is not fetched whatever answers there. */
export function checkUrl(text: string, allowsLocal: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new ImageRefusedError('refused-url', `"${text}" is no http or https URL`)
  if (!allowsLocal) checkHost(url)
  return url
}

function versionOf({ statusCode, headers }: IncomingMessage): Version {
  const length = headers['content-length']
  const total = statusCode === 200 && length !== undefined ? Number(length) : undefined
  const etag = headers.etag?.startsWith('W/') ? undefined : headers.etag
  return { etag, lastModified: headers['last-modified'], totalBytes: total }
}

function canGoOn(version: Version | undefined): boolean {
  return version?.etag !== undefined || version?.lastModified !== undefined
}

/** The answer from `offset` on, redirects followed. */
async function open(
  options: PullSourceOptions,
  offset: number,
  version: Version | undefined,
): Promise<IncomingMessage> {
  const first = checkUrl(options.url, options.allowsLocal)
  let url = first
  for (let redirects = 0; ; redirects++) {
    const response = await send(url, {
      ...options,
      // Whoever we are sent on to learns nothing that was meant for the first.
      headers: url.origin === first.origin ? options.headers : undefined,
      offset,
      version,
    })
    const { statusCode = 0, headers } = response
    if (statusCode >= 300 && statusCode < 400 && headers.location !== undefined) {
      response.destroy()
      if (redirects === MAX_REDIRECTS)
        throw new PullError('pull-redirects', `${hostOf(options.url)} redirects again and again`)
      const next = URL.canParse(headers.location, url.href)
        ? new URL(headers.location, url)
        : undefined
      if (!next || !['http:', 'https:'].includes(next.protocol))
        throw new PullError(
          'pull-redirects',
          `${url.host} redirects to "${headers.location.slice(0, MAX_SHOWN_CHARACTERS)}", which is no http or https URL`,
        )
      if (url.protocol === 'https:' && next.protocol !== 'https:')
        throw new PullError(
          'pull-redirects',
          `${url.host} redirects from https to ${next.protocol}`,
        )
      url = checkRedirect(url, next, options.allowsLocal)
      continue
    }
    checkAnswer(response, url, offset)
    return response
  }
}

/** Who named the first URL must be told where it went from there. */
function checkRedirect(from: URL, next: URL, allowsLocal: boolean): URL {
  try {
    return checkUrl(next.href, allowsLocal)
  } catch (err) {
    if (!(err instanceof ImageRefusedError)) throw err
    throw new ImageRefusedError(err.code, `${from.host} redirects elsewhere, and ${err.message}`)
  }
}

function checkAnswer(response: IncomingMessage, url: URL, offset: number): void {
  const { statusCode = 0, headers } = response
  if (offset === 0 ? statusCode === 200 : isFrom(statusCode, headers['content-range'], offset))
    return
  response.destroy()
  if (statusCode >= 500) throw new Error(`${url.host} answers ${statusCode}`) // may pass
  throw new PullError(
    'pull-refused',
    offset > 0 && statusCode === 200
      ? `${url.host} has another file by now, or cannot go on at byte ${offset}; fetch it again`
      : `${url.host} answers ${statusCode}; look whether the URL is right and may be read`,
  )
}

function isFrom(status: number, contentRange: string | undefined, offset: number): boolean {
  return status === 206 && contentRange?.startsWith(`bytes ${offset}-`) === true
}

async function send(
  url: URL,
  {
    headers = {},
    offset,
    version,
    allowsLocal,
    signal,
  }: PullSourceOptions & { offset: number; version: Version | undefined },
): Promise<IncomingMessage> {
  const send_ = url.protocol === 'https:' ? requestHttps : requestHttp
  const { username, password } = url
  const request = send_(url, {
    signal,
    ...(!allowsLocal && { lookup: guardedLookup }),
    ...(username !== '' && {
      auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}`,
    }),
    agent: false,
    headers: {
      'user-agent': USER_AGENT,
      ...headers,
      'accept-encoding': 'identity',
      ...(offset > 0 && {
        range: `bytes=${offset}-`,
        'if-range': version?.etag ?? version?.lastModified,
      }),
    },
  })
  request.setTimeout(ANSWER_MILLISECONDS, () =>
    request.destroy(new Error(`no answer within ${ANSWER_MILLISECONDS / 1000} s`)),
  )
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  request.on('error', () => {}) // told to who reads the response
  response.setTimeout(IDLE_MILLISECONDS, () =>
    response.destroy(new Error(`nothing came for ${IDLE_MILLISECONDS / 1000} s`)),
  )
  return response
}

function checkSize(byteCount: number | undefined, maxBytes: number): void {
  if (byteCount === undefined || byteCount <= maxBytes) return
  throw new ImageRefusedError(
    'image-too-large',
    `The file has more than ${maxBytes} bytes, the limit of this server; raise STAMPEDE_MAX_IMAGE_BYTES`,
  )
}

function hostOf(url: string): string {
  return new URL(url).host
}

function reasonOf(failure: unknown): string {
  const { message, code } = failure as { message?: string; code?: string }
  return message || code || String(failure)
}
