import { randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import pRetry, { AbortError } from 'p-retry'
import { letGo } from '#protocol/let-go.ts'
import { UPLOAD_HEADER } from '#protocol/image/upload-header.ts'
import type { HttpAnswer, HttpRequest } from './http-exchange.ts'
import { createRedirects, withoutRedirect } from './redirects.ts'

/** A server that says nothing for this long is taken for gone. */
const IDLE_SECONDS = 30
/**
 * How long a server may be away: time to move it to other hardware. If it was only we who did not reach
 * it, it gave up on our run after 10 minutes, and says so when it is back.
 */
const MAX_OUTAGE_SECONDS = 60 * 60
const FIRST_WAIT_MILLISECONDS = 250
/** Of a request that waits longest; others, and those of other machines, come back before it. */
const MAX_WAIT_MILLISECONDS = 10_000
/** No answer to the agent is longer: a chunk is 1 MiB, a manifest at most as much. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024
const MAX_CONNECTIONS = 32
/** A server that is starting, stopping, or behind a proxy that does not reach it. */
const AWAY_STATUSES = new Set([502, 503, 504])
/** A server that is there but answers 500 has a fault that waiting seldom mends. */
const MAX_FAULTS = 3

export interface HttpClient {
  /** Waits for a server that is away. Throws HttpStatusError for an answer from 400 to 499. */
  send(request: HttpRequest): Promise<HttpAnswer>
}

/** The server refused; its own words. */
export class HttpStatusError extends Error {
  override name = 'HttpStatusError'
  readonly status: number
  readonly body: Buffer
  /** Our server's name for it: `chunk-corrupt`. */
  readonly code: string | undefined
  /** What it said. */
  readonly reason: string

  constructor(request: HttpRequest, status: number, body: Buffer) {
    const { code, message } = parseError(body)
    super(`The server answered ${status} to ${request.method} ${request.path}: ${message}`)
    this.status = status
    this.body = body
    this.code = code
    this.reason = message
  }
}

/** Our server's errors are `{ error: { code, message } }`; what else answers is quoted. */
function parseError(body: Buffer): { code?: string; message: string } {
  try {
    const { error } = JSON.parse(body.toString())
    if (typeof error?.message === 'string') return error
  } catch {
    // Not JSON: quoted below.
  }
  return { message: body.length > 0 ? `"${body.toString('latin1', 0, 200)}"` : 'it gave no reason' }
}

/** Told how the server is reached. */
export interface Reach {
  /** A request failed and is tried again. */
  failed(message: string): void
  /** One that had failed was answered. */
  answered(): void
}

export interface HttpClientOptions {
  serverUrl: string
  token: string | undefined
  reach?: Reach
  maxOutageSeconds?: number
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { reach } = options
  const exchange = createExchange(options)
  const redirects = createRedirects((serverUrl) => createExchange({ serverUrl, token: undefined }))

  async function attempt(request: HttpRequest, earlier: Error | undefined): Promise<HttpAnswer> {
    if (earlier && request.arrivedAt !== undefined) {
      const { arrivedAt: path, signal } = request
      const { status, body } = await exchange({ method: 'HEAD', path, ...(signal && { signal }) })
      if (status === 200) {
        reach?.answered()
        return { status, body }
      }
      if (status !== 404) {
        // An answer to HEAD has no words.
        const isSame = earlier instanceof HttpStatusError && earlier.status === status
        throw isSame ? earlier : new HttpStatusError({ method: 'HEAD', path }, status, body)
      }
    }
    const answer = await askOrFollow(request)
    // While its store is away, a server goes on answering reports, which do not fail.
    if (earlier && !AWAY_STATUSES.has(answer.status)) reach?.answered()
    if (answer.status < 300) return answer
    const error = new HttpStatusError(request, answer.status, answer.body)
    throw isFinal(answer.status) ? new AbortError(error) : error
  }

  async function askOrFollow(request: HttpRequest): Promise<HttpAnswer> {
    const answer = await exchange(redirects.prepare(request))
    if (answer.location === undefined || request.method !== 'GET') return answer
    return (await redirects.follow(answer.location, request)) ?? exchange(withoutRedirect(request))
  }

  return {
    async send(request) {
      const { signal } = request
      const maxOutageMilliseconds = (options.maxOutageSeconds ?? MAX_OUTAGE_SECONDS) * 1000
      let faults = 0
      let earlier: Error | undefined
      let awaySince: number | undefined
      return await pRetry(() => attempt(request, earlier), {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: FIRST_WAIT_MILLISECONDS,
        // Its own for each request: at one that all share, they would come all at once.
        maxTimeout: MAX_WAIT_MILLISECONDS * (0.5 + Math.random() / 2),
        randomize: true,
        ...(signal && { signal }),
        shouldRetry: ({ error }) =>
          performance.now() - awaySince! < maxOutageMilliseconds &&
          (!isFault(error) || ++faults < MAX_FAULTS),
        onFailedAttempt({ error }) {
          // Not since it was asked first: a body may have been on its way for longer.
          awaySince ??= performance.now()
          earlier = error
          reach?.failed(error.message)
        },
      })
    },
  }
}

/** 408 and 429 ask for another try; what else is below 500 will not change by repeating. */
function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

function isFault(error: Error): boolean {
  if (!(error instanceof HttpStatusError)) return false
  return !AWAY_STATUSES.has(error.status) && error.status !== 408 && error.status !== 429
}

type Exchange = (request: HttpRequest) => Promise<HttpAnswer>

/** One request and its answer, whatever that is, over connections that are kept. */
function createExchange({
  serverUrl,
  token,
}: Pick<HttpClientOptions, 'serverUrl' | 'token'>): Exchange {
  const base = new URL(serverUrl)
  const transport = base.protocol === 'https:' ? https : http
  const agent = new transport.Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS })
  const identity =
    token === undefined ? {} : { authorization: `Bearer ${token}`, [UPLOAD_HEADER]: randomUUID() }
  return (request) => {
    const { method, signal, idleSeconds = IDLE_SECONDS } = request
    const url = new URL(request.path, base)
    const where = `${method} ${url.href}`
    const { body, headers } = content(request)
    return new Promise((resolve, reject) => {
      const outgoing = transport.request(
        url,
        {
          method,
          agent: agent as https.Agent,
          ...(signal && { signal }),
          headers: { ...identity, ...headers },
        },
        (incoming) => collect(incoming).then(resolve, reject),
      )
      outgoing.setTimeout(idleSeconds * 1000, () => {
        outgoing.destroy(new Error(`${where} got no answer for ${idleSeconds} s`))
      })
      outgoing.on('error', (err) => {
        if (signal?.aborted) return reject(new AbortError(abortReason(signal)))
        reject(new Error(`${where} failed: ${err.message}`, { cause: err }))
      })
      outgoing.end(body)
    })
  }
}

function content({ json, body, contentType }: HttpRequest) {
  const bytes = json === undefined ? body : Buffer.from(JSON.stringify(json))
  if (!bytes) return { body: undefined, headers: {} }
  const type = contentType ?? (json === undefined ? 'application/octet-stream' : 'application/json')
  return { body: bytes, headers: { 'content-type': type, 'content-length': bytes.length } }
}

async function collect(incoming: http.IncomingMessage): Promise<HttpAnswer> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > MAX_ANSWER_BYTES) throw new AbortError('The answer of the server is too long')
    pieces.push(piece)
  }
  // A connection cut in the middle of an answer of known length is an error of the stream itself.
  const { statusCode: status = 0, headers } = incoming
  const body = Buffer.concat(pieces, bytes)
  for (const piece of pieces) letGo(piece)
  const isRedirect = status >= 300 && status < 400 && headers.location !== undefined
  return {
    status,
    body,
    ...(isRedirect && { location: headers.location! }),
  }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('Stopped')
}
