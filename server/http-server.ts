import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createHttp, type HttpOptions } from './api/http.ts'

/** How long uploads and downloads may go on when the server stops; then they are cut. */
const STOP_MILLISECONDS = 8000

export interface HttpServer extends AsyncDisposable {
  http: FastifyInstance
  /** Aborts when the server stops: what lasts for ever listens to it. */
  stopping: AbortSignal
}

/**
 * A Fastify that stops gracefully: new requests get 503, running ones may end within a limit, and an
 * upload that is cut leaves nothing behind.
 */
export function openHttp(options: HttpOptions & { log: FastifyBaseLogger }): HttpServer {
  const http = createHttp(options)
  const stop = new AbortController()
  return {
    http,
    stopping: stop.signal,
    async [Symbol.asyncDispose]() {
      stop.abort()
      const cut = setTimeout(() => http.server.closeAllConnections(), STOP_MILLISECONDS)
      try {
        await http.close()
      } finally {
        clearTimeout(cut)
      }
    },
  }
}
