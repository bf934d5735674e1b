import { once } from 'node:events'
import http, { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Where in an exchange the connection breaks, as the client sees it. */
export const PHASES = [
  'before the request',
  'in the middle of the request',
  'after the request, before the answer',
  'in the middle of the answer',
] as const
export type Phase = (typeof PHASES)[number]

export interface Exchange {
  method: string
  /** Without the query. */
  path: string
}

/** What comes out of the wire instead of what went in; undefined: the same. */
export type Alteration = (exchange: Exchange, body: Buffer) => Buffer | undefined

/** What a client is answered instead of what its server says. */
export interface Refusal {
  status: number
  body: string
  /** The server did what it was asked. */
  isDone: boolean
}

/** Between an agent and its server: cuts connections where it is told, and keeps account of chunks. */
export interface PhaseProxy extends AsyncDisposable {
  readonly url: string
  /** Asked for each exchange: where it breaks, if it does. */
  fault: ((exchange: Exchange) => Phase | undefined) | undefined
  /** Bodies on their way to the server, and from it. Lengths in headers follow. */
  alterRequest: Alteration | undefined
  alterAnswer: Alteration | undefined
  /** A request that came waits for this before the server gets it, with what sends it once more. */
  hold: ((exchange: Exchange, again: () => Promise<number>) => unknown) | undefined
  /** Asked for each exchange: whether it is refused. */
  refuse: ((exchange: Exchange) => Refusal | undefined) | undefined
  /** Exchanges so far, broken ones included: `PUT /chunks/…`. */
  readonly exchanges: string[]
  /** Chunks that the server answered with 201, heard by the client or not. */
  readonly stored: Set<string>
  /** Chunks of which a body began to come after that. */
  readonly sentTwice: string[]
  /** Bodies of chunks that began to come. */
  bodies(): number
  /** Exchanges that the server has not answered yet, whoever asked may be gone. */
  underWay(): number
}

/** The server may go away and come back on the same port. */
export async function openPhaseProxy(serverUrl: string): Promise<PhaseProxy> {
  const stored = new Set<string>()
  const sentTwice: string[] = []
  const exchanges: string[] = []
  let bodies = 0
  let underWay = 0
  const proxy: Pick<PhaseProxy, 'fault' | 'alterRequest' | 'alterAnswer' | 'hold' | 'refuse'> = {
    fault: undefined,
    alterRequest: undefined,
    alterAnswer: undefined,
    hold: undefined,
    refuse: undefined,
  }

  const server = createServer((request, response) => {
    const method = request.method!
    const path = request.url!.split('?')[0]!
    exchanges.push(`${method} ${path}`)
    const phase = proxy.fault?.({ method, path })
    const chunk = /^\/chunks\/([0-9a-f]{64})$/.exec(path)?.[1]
    if (method === 'PUT' && chunk !== undefined) {
      bodies++
      if (stored.has(chunk)) sentTwice.push(chunk)
    }
    if (phase === 'before the request') return void request.socket.destroy()
    const onAnswer = ({ statusCode }: IncomingMessage) => {
      if (method === 'PUT' && chunk !== undefined && statusCode === 201) stored.add(chunk)
    }
    const alter = (alteration: Alteration | undefined) => (body: Buffer) =>
      alteration?.({ method, path }, body) ?? body
    const { alterRequest, alterAnswer } = proxy
    const hold = async (again: () => Promise<number>) => proxy.hold?.({ method, path }, again)
    const refusal = proxy.refuse?.({ method, path })
    const altered = { request: alter(alterRequest), answer: alter(alterAnswer), hold, refusal }
    underWay++
    pass(new URL(serverUrl), request, response, phase, altered, onAnswer)
      .catch(() => request.socket.destroy())
      .finally(() => underWay--)
  })
  // As long as the server's own.
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(proxy, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    stored,
    sentTwice,
    bodies: () => bodies,
    underWay: () => underWay,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}

async function pass(
  server: URL,
  request: IncomingMessage,
  response: ServerResponse,
  phase: Phase | undefined,
  altered: {
    request(body: Buffer): Buffer
    answer(body: Buffer): Buffer
    hold(again: () => Promise<number>): Promise<unknown>
    refusal: Refusal | undefined
  },
  onAnswer: (answer: IncomingMessage) => void,
): Promise<void> {
  const body = altered.request(await bodyOf(request))
  const { refusal } = altered
  if (refusal && !refusal.isDone) return void response.writeHead(refusal.status).end(refusal.body)
  const { 'transfer-encoding': _chunked, ...asked } = request.headers
  await altered.hold(() => sendAgain(new URL(request.url!, server), request, body))
  const upstream = http.request(new URL(request.url!, server), {
    method: request.method,
    headers: { ...asked, 'content-length': String(body.length) },
    agent: false,
  })
  if (phase === 'in the middle of the request') {
    upstream.on('error', () => {})
    upstream.write(body.subarray(0, body.length / 2))
    setImmediate(() => {
      upstream.destroy()
      request.socket.destroy()
    })
    return
  }
  upstream.end(body)
  const [answer] = (await once(upstream, 'response')) as [IncomingMessage]
  const whole = await bodyOf(answer)
  const answered = altered.answer(whole)
  onAnswer(answer)
  if (refusal) return void response.writeHead(refusal.status).end(refusal.body)
  if (phase === 'after the request, before the answer') return void request.socket.destroy()
  const { 'transfer-encoding': _, connection: __, ...headers } = answer.headers
  // To HEAD, the length of what GET would answer.
  const isSame = answered === whole
  const length = (isSame && headers['content-length']) || String(answered.length)
  response.writeHead(answer.statusCode!, { ...headers, 'content-length': length })
  if (phase === 'in the middle of the answer') {
    response.write(answered.subarray(0, answered.length / 2), () => request.socket.destroy())
    return
  }
  response.end(answered)
}

/** The status of what it is answered. */
async function sendAgain(url: URL, { method, headers }: IncomingMessage, body: Buffer) {
  const { authorization, 'content-type': type } = headers
  const answer = await fetch(url, {
    method: method!,
    headers: { ...(authorization && { authorization }), ...(type && { 'content-type': type }) },
    body: Uint8Array.from(body),
  })
  await answer.bytes()
  return answer.status
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of message) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}
