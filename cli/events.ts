import { setTimeout as sleep } from 'node:timers/promises'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { readError, type ApiClient } from './api-client.ts'
import { ApiError, UnreachableError } from './errors.ts'

/** The server's events, gone on with where they broke off. */

const EVENTS_PATH = '/api/events'
/** The server says something at least every 15 seconds. */
const SILENCE_MILLISECONDS = 45_000
const FIRST_WAIT_MILLISECONDS = 500
const MAX_WAIT_MILLISECONDS = 10_000
const CONNECT_MILLISECONDS = 15_000
/** A server takes inventories of 4 MiB, and tells some of their text once more beside them. */
const MAX_EVENT_CHARACTERS = 16 * 1024 * 1024

export interface ServerEvent {
  kind: string
  data: unknown
}

export type FollowItem =
  /** Connected: what is read from now on is not older than what comes. */
  | { kind: 'open'; again: boolean }
  | { kind: 'lost'; reason: string; waitSeconds: number }
  | { kind: 'event'; event: ServerEvent }

/**
 * Follows until `signal` aborts or the caller stops. Throws ApiError if the server refuses. A server
 * that is away is waited for, but `patient` says whether also before it ever answered.
 */
export async function* followEvents(
  api: ApiClient,
  { signal, patient = false }: { signal: AbortSignal; patient?: boolean },
): AsyncGenerator<FollowItem> {
  let lastId: string | undefined
  let wait = FIRST_WAIT_MILLISECONDS
  for (let again = false; ;) {
    // Whoever stops reading, at whatever point, leaves neither a timer nor a connection.
    const over = new AbortController()
    try {
      const opened = await connect(api, lastId, AbortSignal.any([signal, over.signal]))
      yield { kind: 'open', again }
      again = true
      wait = FIRST_WAIT_MILLISECONDS
      for await (const message of opened) {
        if (message.id !== undefined) lastId = message.id
        const event = {
          kind: message.event ?? 'message',
          data: JSON.parse(message.data) as unknown,
        }
        yield { kind: 'event', event }
      }
      throw new UnreachableError('the server ended the stream')
    } catch (err) {
      if (signal.aborted) throw signal.reason
      const isPassing =
        err instanceof UnreachableError || (err instanceof ApiError && err.status >= 500)
      if (!isPassing || !(again || patient)) throw err
      yield { kind: 'lost', reason: err.message, waitSeconds: wait / 1000 }
      await sleep(wait, undefined, { signal })
      wait = Math.min(wait * 2, MAX_WAIT_MILLISECONDS)
    } finally {
      over.abort()
    }
  }
}

/** Its promise is kept when the answer has begun: nothing that happens after that is missed. */
async function connect(api: ApiClient, lastId: string | undefined, signal: AbortSignal) {
  const silence = new AbortController()
  const isStalled = () => silence.abort(new UnreachableError('the server fell silent'))
  let timer = setTimeout(isStalled, CONNECT_MILLISECONDS)
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  const stop = AbortSignal.any([signal, silence.signal])
  try {
    const headers = { ...(lastId !== undefined && { 'last-event-id': lastId }) }
    const response = await api.fetch('GET', EVENTS_PATH, { headers }, stop)
    if (!response.ok || !response.body)
      throw readError(response, await response.text(), EVENTS_PATH)
    return read(response.body)
  } catch (err) {
    clearTimeout(timer)
    throw err
  }

  async function* read(body: AsyncIterable<Uint8Array>): AsyncGenerator<EventSourceMessage> {
    const messages: EventSourceMessage[] = []
    const parser = createParser({
      onEvent: (message) => messages.push(message),
      maxBufferSize: MAX_EVENT_CHARACTERS,
    })
    const decoder = new TextDecoder()
    try {
      for await (const part of body) {
        clearTimeout(timer)
        timer = setTimeout(isStalled, SILENCE_MILLISECONDS)
        parser.feed(decoder.decode(part, { stream: true }))
        yield* messages.splice(0)
      }
    } catch (err) {
      if (silence.signal.aborted) throw silence.signal.reason
      throw signal.aborted
        ? signal.reason
        : new UnreachableError('the connection was cut', { cause: err })
    } finally {
      clearTimeout(timer)
    }
  }
}
