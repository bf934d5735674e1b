import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** Resolves once the channel is heard; ends when disposed. */
export type Listen = (
  channel: string,
  onNotify: (payload: string) => void,
) => Promise<AsyncDisposable>

const CONNECT_TIMEOUT_MILLISECONDS = 10_000
const RECONNECT_MILLISECONDS = 2_000

/**
 * Hears a channel over a connection of its own, for as long as it is not disposed. What was notified
 * while the connection was down is lost, so each reconnection calls back with an empty payload:
 * listeners look for themselves.
 */
export async function listenOnPostgres(
  url: string,
  channel: string,
  onNotify: (payload: string) => void,
): Promise<AsyncDisposable> {
  const stop = new AbortController()
  let current = await connect(url, channel, onNotify)
  const watching = watch()

  async function watch(): Promise<void> {
    while (!stop.signal.aborted) {
      await Promise.race([current.lost, aborted(stop.signal)])
      if (stop.signal.aborted) return
      await sleep(RECONNECT_MILLISECONDS, undefined, { signal: stop.signal }).catch(() => {})
      const next = await connect(url, channel, onNotify).catch(() => undefined)
      if (!next) continue
      current = next
      onNotify('')
    }
  }

  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await watching
      await current.client.end().catch(() => {})
    },
  }
}

async function connect(url: string, channel: string, onNotify: (payload: string) => void) {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MILLISECONDS,
    keepAlive: true,
  })
  const lost = new Promise<void>((resolve) => {
    client.once('error', () => resolve())
    client.once('end', () => resolve())
  })
  client.on('error', () => {})
  client.on('notification', (message) => onNotify(message.payload ?? ''))
  await client.connect()
  await client.query(`listen ${client.escapeIdentifier(channel)}`)
  return { client, lost }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
