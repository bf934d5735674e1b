import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface HttpReceiver extends AsyncDisposable {
  url: string
  /** All that came, in the order of their coming. */
  received: Received[]
  /** How the next requests are answered; 200 unless it says otherwise. */
  answer: (request: Received, response: ServerResponse) => void
  /** Once this holds; looked at with each request. */
  until(holds: (received: Received[]) => boolean): Promise<void>
}

const WAIT_MILLISECONDS = 60_000

/** Any HTTP server, on a free port of the loopback, that keeps what it is sent. */
export async function openHttpReceiver(): Promise<HttpReceiver> {
  const received: Received[] = []
  let changed = Promise.withResolvers<void>()
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const one: Received = {
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(parts).toString(),
    }
    received.push(one)
    changed.resolve()
    receiver.answer(one, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver: HttpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    answer: (_request, response) => response.end('thank you'),
    async until(holds) {
      const deadline = AbortSignal.timeout(WAIT_MILLISECONDS)
      const late = once(deadline, 'abort').then(() => {
        throw new Error(`Waited in vain; ${received.length} requests came`)
      })
      late.catch(() => {}) // it may well be in time
      while (!holds(received)) {
        changed = Promise.withResolvers()
        await Promise.race([changed.promise, late])
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return receiver
}
