import assert from 'node:assert/strict'
import { ADMIN_TOKEN, type TestApp } from './test-app.ts'

export interface SentEvent {
  id?: number
  event: string
  data: Record<string, unknown>
}

export interface EventStream extends AsyncDisposable {
  /** Reads on until an event fits, and returns all that came up to it. */
  until(fits: (event: SentEvent) => boolean): Promise<SentEvent[]>
  /** Undefined if the server ended the stream. */
  next(): Promise<SentEvent | undefined>
}

/** Reads a stream as a browser would. It has begun when this resolves. */
export async function openEventStream(
  app: Pick<TestApp, 'port'>,
  lastEventId?: number,
  credentials: Record<string, string> = { authorization: `Bearer ${ADMIN_TOKEN}` },
): Promise<EventStream> {
  const gone = new AbortController()
  const response = await fetch(`http://127.0.0.1:${app.port}/api/events`, {
    headers: {
      ...credentials,
      ...(lastEventId !== undefined && { 'last-event-id': String(lastEventId) }),
    },
    signal: gone.signal,
  })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  // Piped at once: fetch cancels a body that nobody reads when its response is garbage-collected.
  const events = decode(response.body!.pipeThrough(new TextDecoderStream()))

  async function next(): Promise<SentEvent | undefined> {
    const { value, done } = await events.next()
    return done ? undefined : value
  }

  return {
    next,
    async until(fits) {
      const seen: SentEvent[] = []
      for (;;) {
        const event = await next()
        assert.ok(event, `The stream ended after ${JSON.stringify(seen)}`)
        seen.push(event)
        if (fits(event)) return seen
      }
    },
    [Symbol.asyncDispose]: async () => gone.abort(),
  }
}

async function* decode(texts: AsyncIterable<string>): AsyncGenerator<SentEvent> {
  let rest = ''
  for await (const text of texts) {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop()!
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => splitOnce(line)))
      const event = fields.get('event')
      if (event === undefined) continue // a comment, or the retry interval
      const id = fields.get('id')
      const data = JSON.parse(fields.get('data')!) as Record<string, unknown>
      yield { event, data, ...(id !== undefined && { id: Number(id) }) }
    }
  }
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf(': ')
  return [line.slice(0, at), line.slice(at + 2)]
}
