import type { IncomingMessage } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createHttp, type HttpOptions } from '../api/create-http.ts'
import type { TlsConfig } from '../settings/http-config.ts'
import { openTls, type TlsServer } from './tls.ts'

/** How long uploads and downloads may go on when the server stops; then they are cut. */
const STOP_MILLISECONDS = 8000
/** How long somebody who was answered and still sends may take to read the answer then. */
const READ_ANSWER_MILLISECONDS = 500

export interface HttpServer extends AsyncDisposable {
  http: FastifyInstance
  /** The same over TLS, if there is a certificate. */
  tls: TlsServer | undefined
  /** Aborts when the server stops: what lasts for ever listens to it. */
  stopping: AbortSignal
}

/**
 * A Fastify that stops gracefully: new requests get 503, running ones may end within a limit, and an
 * upload that is cut leaves nothing behind.
 */
export async function openHttp(
  options: HttpOptions & { log: FastifyBaseLogger; tls: TlsConfig | undefined },
): Promise<HttpServer> {
  const http = createHttp(options)
  const tls = options.tls && (await openTls(options.tls, { http, log: options.log }))
  const stop = new AbortController()
  cutAnswered(http, stop.signal)
  return {
    http,
    tls,
    stopping: stop.signal,
    async [Symbol.asyncDispose]() {
      stop.abort()
      const cut = setTimeout(() => {
        options.log.warn('The server stops: uploads and downloads that still go on are cut')
        http.server.closeAllConnections()
        tls?.server.closeAllConnections()
      }, STOP_MILLISECONDS)
      try {
        await Promise.all([tls?.[Symbol.asyncDispose](), http.close()])
      } finally {
        clearTimeout(cut)
      }
    },
  }
}

/**
 * Nobody waits for those who were answered, refused as a rule, and only go on sending. Cut at once, they
 * would have lost an answer that is still on its way.
 */
function cutAnswered(http: FastifyInstance, stopping: AbortSignal): void {
  const sending = new Set<IncomingMessage>()
  const cutSoon = (request: IncomingMessage) =>
    void setTimeout(() => request.destroy(), READ_ANSWER_MILLISECONDS).unref()
  http.addHook('onResponse', (request, _reply, done) => {
    const { raw } = request
    if (!raw.complete && !raw.destroyed) {
      if (stopping.aborted) cutSoon(raw)
      else {
        sending.add(raw)
        raw.once('close', () => sending.delete(raw))
      }
    }
    done()
  })
  stopping.addEventListener('abort', () => sending.forEach(cutSoon), { once: true })
}
