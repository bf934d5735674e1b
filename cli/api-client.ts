import { randomUUID } from 'node:crypto'
import { ErrorSchema } from '#protocol/shapes.ts'
import { UPLOAD_HEADER } from '#protocol/image/upload-header.ts'
import { Value } from 'typebox/value'
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiError, CliError, UnreachableError } from './errors.ts'
import { printable } from './text/text.ts'

/** A call that is answered from the database; plans of a thousand machines take longest. */
const CALL_TIMEOUT_MILLISECONDS = 60_000
/** Items of a page; the most that every list gives. */
const PAGE_ITEMS = 1000
const FIRST_WAIT_MILLISECONDS = 250
const MAX_WAIT_MILLISECONDS = 5000

export interface Call {
  query?: Record<string, string | number | boolean | undefined>
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is. */
  body?: Uint8Array<ArrayBuffer>
  headers?: Record<string, string>
  timeoutMilliseconds?: number
}

export interface List<Item> {
  items: Item[]
  next: string | null
}

export interface ApiClient {
  readonly server: string
  /** Throws ApiError for what the server refuses, UnreachableError if it does not answer. */
  call<Body>(method: string, path: string, call?: Call): Promise<Body>
  /** With the ETag, to change only what was read. */
  getWithTag<Body>(path: string): Promise<{ body: Body; etag: string | undefined }>
  text(path: string): Promise<string>
  /** The response itself, whatever its status, as soon as its headers are there. */
  fetch(method: string, path: string, call?: Call, signal?: AbortSignal): Promise<Response>
  /** All pages of a list as one, or `limit` items of it. */
  list<Item>(path: string, query?: Call['query'], limit?: number): Promise<List<Item>>
}

export interface ApiClientOptions {
  server: string
  token: string | undefined
  signal: AbortSignal
}

export function createApiClient({ server, token, signal }: ApiClientOptions): ApiClient {
  // What two commands of one person store, or read, is kept for each by itself.
  const upload = randomUUID()

  async function send(
    method: string,
    path: string,
    call: Call = {},
    ended: AbortSignal = signal,
  ): Promise<Response> {
    const url = new URL(path, server)
    for (const [name, value] of Object.entries(call.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value))
    const body = call.json === undefined ? call.body : JSON.stringify(call.json)
    try {
      return await fetch(url, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}`, [UPLOAD_HEADER]: upload }),
          ...(call.json !== undefined && { 'content-type': 'application/json' }),
          ...call.headers,
        },
        ...(body !== undefined && { body }),
        signal: AbortSignal.any([signal, ended]),
        redirect: 'manual', // a token goes to the server that it is for
      })
    } catch (err) {
      throw explainFailure(err, server, signal)
    }
  }

  async function exchange(method: string, path: string, options: Call = {}) {
    const limit = AbortSignal.timeout(options.timeoutMilliseconds ?? CALL_TIMEOUT_MILLISECONDS)
    try {
      const response = await send(method, path, options, limit)
      const text = await response.text()
      if (!response.ok) throw readError(response, text, path)
      return { text, headers: response.headers }
    } catch (err) {
      throw explainFailure(err, server, signal)
    }
  }

  async function call<Body>(method: string, path: string, options?: Call): Promise<Body> {
    const { text } = await exchange(method, path, options)
    return parseAnswer(text, server) as Body
  }

  return {
    server,
    call,
    fetch: send,
    async getWithTag<Body>(path: string) {
      const { text, headers } = await exchange('GET', path)
      return { body: parseAnswer(text, server) as Body, etag: headers.get('etag') ?? undefined }
    },
    text: async (path) => (await exchange('GET', path)).text,
    async list<Item>(path: string, query: Call['query'] = {}, limit = Infinity) {
      const items: Item[] = []
      for (let after: string | undefined; ;) {
        const page = await call<List<Item>>('GET', path, {
          query: { limit: Math.min(limit - items.length, PAGE_ITEMS), ...query, after },
        })
        items.push(...page.items)
        if (page.next === null || items.length >= limit) return { items, next: page.next }
        after = page.next
      }
    },
  }
}

/** What the server said, or what stands in its place did. */
export function readError(response: Response, text: string, path: string): ApiError {
  const { status } = response
  const body = parseJson(text)
  if (Value.Check(ErrorSchema, body)) {
    const { code, message, details } = body.error
    return new ApiError(status, code, printable(message), details)
  }
  const quoted = printable(text.slice(0, 200).trim())
  return new ApiError(
    status,
    'unknown',
    `The server answered ${status} to ${path}${quoted ? `: "${quoted}"` : ''}; is this a Stampede?`,
  )
}

function parseAnswer(text: string, server: string): unknown {
  if (text === '') return undefined
  const body = parseJson(text)
  if (body === undefined)
    throw new UnreachableError(`What answers at ${server} is no Stampede: it sent no JSON`)
  return body
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** `fetch failed` tells nobody anything: its cause does. */
export function explainFailure(err: unknown, server: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (!(err instanceof Error) || err instanceof CliError) return err
  const cause = err.cause as (Error & { code?: string }) | undefined
  const code = cause?.code ?? (err.name === 'TimeoutError' ? 'TIMEOUT' : undefined)
  const reason = (code && REASONS[code]) ?? cause?.message ?? err.message
  return new UnreachableError(`No answer from ${server}: ${reason}`, { cause: err })
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there; is the server running, and is this its port?',
  ENOTFOUND: 'its name is not known; check the spelling or the DNS',
  EAI_AGAIN: 'its name cannot be looked up now; check the DNS',
  EHOSTUNREACH: 'there is no way to that host; check the network',
  ENETUNREACH: 'there is no way to that network; check the network',
  ETIMEDOUT: 'the connection timed out; a firewall may drop it',
  UND_ERR_CONNECT_TIMEOUT: 'the connection timed out; a firewall may drop it',
  TIMEOUT: 'it took too long',
  ECONNRESET: 'the connection was cut',
  UND_ERR_SOCKET: 'the connection was cut',
  DEPTH_ZERO_SELF_SIGNED_CERT:
    'its certificate is signed by itself; name its file in NODE_EXTRA_CA_CERTS if you trust it',
  SELF_SIGNED_CERT_IN_CHAIN:
    'its certificate is of an unknown authority; name that in NODE_EXTRA_CA_CERTS if you trust it',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate is of an unknown authority; name that in NODE_EXTRA_CA_CERTS if you trust it',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
}

export interface PatienceOptions {
  signal: AbortSignal
  /** How long the server may be away. */
  outageSeconds: number
  /** Told of each failure that is tried again. */
  onRetry: (err: Error, waitMilliseconds: number) => void
}

/** Does `work` again while the server is away; it must be such that doing it twice does no harm. */
export async function withPatience<Result>(
  options: PatienceOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const deadline = performance.now() + options.outageSeconds * 1000
  for (let wait = FIRST_WAIT_MILLISECONDS; ; wait = Math.min(wait * 2, MAX_WAIT_MILLISECONDS)) {
    try {
      return await work()
    } catch (err) {
      if (!isPassing(err) || performance.now() + wait > deadline) throw err
      options.onRetry(err, wait)
      await sleep(wait * (0.5 + Math.random()), undefined, { signal: options.signal })
    }
  }
}

/** A server that is away or starting; anything else will be the same the next time. */
function isPassing(err: unknown): err is UnreachableError {
  return (
    err instanceof UnreachableError ||
    (err instanceof ApiError && [408, 429, 502, 503, 504].includes(err.status))
  )
}
