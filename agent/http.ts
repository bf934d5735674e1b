import http from 'node:http'
import https from 'node:https'
import pRetry, { AbortError } from 'p-retry'

/** A server that says nothing for this long is taken for gone. */
const IDLE_SECONDS = 30
/** How long a server may be away; it gives up on our run after 10 minutes of silence itself. */
const MAX_OUTAGE_SECONDS = 15 * 60
const FIRST_WAIT_MILLISECONDS = 250
const MAX_WAIT_MILLISECONDS = 10_000
/** No answer to the agent is longer: a chunk is 1 MiB, a manifest at most as much. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024
const MAX_CONNECTIONS = 32
/** A server that is there but answers 500 has a fault that waiting seldom mends. */
const MAX_FAULTS = 3

export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT'
  path: string
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is. */
  body?: Uint8Array
  contentType?: string
  signal?: AbortSignal
}

export interface HttpAnswer {
  status: number
  body: Buffer
}

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

  constructor(request: HttpRequest, status: number, body: Buffer) {
    const { code, message } = parseError(body)
    super(`The server answered ${status} to ${request.method} ${request.path}: ${message}`)
    this.status = status
    this.body = body
    this.code = code
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
  return { message: `"${body.toString('latin1', 0, 200)}"` }
}

export interface HttpClientOptions {
  serverUrl: string
  token: string | undefined
  /** Told of each failure that is tried again. */
  onRetry?: (message: string) => void
  maxOutageSeconds?: number
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const base = new URL(options.serverUrl)
  const transport = base.protocol === 'https:' ? https : http
  const agent = new transport.Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS })
  return {
    async send(request) {
      const { signal } = request
      let faults = 0
      return await pRetry(() => attempt(transport, agent, base, options.token, request), {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: FIRST_WAIT_MILLISECONDS,
        maxTimeout: MAX_WAIT_MILLISECONDS,
        maxRetryTime: (options.maxOutageSeconds ?? MAX_OUTAGE_SECONDS) * 1000,
        randomize: true,
        ...(signal && { signal }),
        shouldRetry: ({ error }) => !isFault(error) || ++faults < MAX_FAULTS,
        onFailedAttempt: ({ error }) => options.onRetry?.(error.message),
      })
    },
  }
}

/** 408 and 429 ask for another try; what else is below 500 will not change by repeating. */
function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429
}

/** 502, 503 and 504 are a server that is starting, stopping or behind a proxy. */
function isFault(error: Error): boolean {
  return error instanceof HttpStatusError && ![502, 503, 504, 408, 429].includes(error.status)
}

async function attempt(
  transport: typeof http | typeof https,
  agent: http.Agent,
  base: URL,
  token: string | undefined,
  request: HttpRequest,
): Promise<HttpAnswer> {
  const answer = await exchange(transport, agent, base, token, request)
  if (isFinal(answer.status))
    throw new AbortError(new HttpStatusError(request, answer.status, answer.body))
  if (answer.status >= 300) throw new HttpStatusError(request, answer.status, answer.body)
  return answer
}

function exchange(
  transport: typeof http | typeof https,
  agent: http.Agent,
  base: URL,
  token: string | undefined,
  request: HttpRequest,
): Promise<HttpAnswer> {
  const body = request.json === undefined ? request.body : Buffer.from(JSON.stringify(request.json))
  const contentType =
    request.contentType ??
    (request.json === undefined ? 'application/octet-stream' : 'application/json')
  const where = `${request.method} ${new URL(request.path, base).href}`
  return new Promise((resolve, reject) => {
    const outgoing = transport.request(
      new URL(request.path, base),
      {
        method: request.method,
        agent: agent as https.Agent,
        ...(request.signal && { signal: request.signal }),
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body && { 'content-type': contentType, 'content-length': body.length }),
        },
      },
      (incoming) => collect(incoming).then(resolve, reject),
    )
    outgoing.setTimeout(IDLE_SECONDS * 1000, () => {
      outgoing.destroy(new Error(`${where} got no answer for ${IDLE_SECONDS} s`))
    })
    outgoing.on('error', (err) => {
      if (request.signal?.aborted) return reject(new AbortError(abortReason(request.signal)))
      reject(new Error(`${where} failed: ${err.message}`, { cause: err }))
    })
    outgoing.end(body)
  })
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
  return { status: incoming.statusCode ?? 0, body: Buffer.concat(pieces, bytes) }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('Stopped')
}
