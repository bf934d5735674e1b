import type { HttpAnswer, HttpRequest } from './http-exchange.ts'

/** A store that others reach in milliseconds; longer is a network that it is not in. */
const IDLE_SECONDS = 5
/** One may be bad luck; requests in flight at the same time count together. */
const MAX_FAILURES = 3
const OFF_MILLISECONDS = 10 * 60 * 1000

type Exchange = (request: HttpRequest) => Promise<HttpAnswer>

export interface Redirects {
  /** What is asked of the server: by itself to answer, while stores are out of reach. */
  prepare(request: HttpRequest): HttpRequest
  /** What is there; undefined if nothing can be had, and the server must answer by itself. */
  follow(location: string, request: HttpRequest): Promise<HttpAnswer | undefined>
}

/**
 * The server may send us for a chunk to the store that holds it, at an address that is good for
 * whoever has it: our token stays with the server. What comes from there is checked against its hash
 * as always. A store that this network does not reach is asked for nothing more for a while.
 */
export function createRedirects(open: (origin: string) => Exchange): Redirects {
  const exchanges = new Map<string, Exchange>()
  let failures = 0
  let offUntil = 0

  async function fetchFrom(url: URL, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    let exchange = exchanges.get(url.origin)
    if (!exchange) exchanges.set(url.origin, (exchange = open(url.origin)))
    return await exchange({
      method: 'GET',
      path: url.pathname + url.search,
      idleSeconds: IDLE_SECONDS,
      ...(signal && { signal }),
    })
  }

  return {
    prepare: (request) => (Date.now() < offUntil ? withoutRedirect(request) : request),

    async follow(location, { signal }) {
      const url = URL.canParse(location) ? new URL(location) : undefined
      if (!url || !/^https?:$/.test(url.protocol)) return undefined
      const answer = await fetchFrom(url, signal).catch(() => undefined)
      signal?.throwIfAborted()
      if (answer?.status === 200) {
        failures = 0
        return answer
      }
      if (++failures >= MAX_FAILURES) {
        failures = 0
        offUntil = Date.now() + OFF_MILLISECONDS
      }
      return undefined
    },
  }
}

/** The same, to be answered by the server itself. */
export function withoutRedirect(request: HttpRequest): HttpRequest {
  if (request.method !== 'GET') return request
  return { ...request, path: directPath(request.path) }
}

export function directPath(path: string): string {
  if (/[?&]direct=1/.test(path)) return path
  return `${path}${path.includes('?') ? '&' : '?'}direct=1`
}
