import { MAX_LOG_LINES, MAX_LOG_LINE_CHARACTERS, type Log } from '#protocol/run/agent.ts'

/** Lines that wait for a server that is away; what comes after them is only on the screen. */
const MAX_WAITING_LINES = 20_000
const SEND_INTERVAL_MILLISECONDS = 1000

export interface LogStream extends AsyncDisposable {
  /** Never waits: lines are sent in the background, in order and numbered. */
  write(text: string): void
}

/** The log on its way to the server. Disposing sends what is left. */
export function openLogStream(send: (log: Log) => Promise<void>): LogStream {
  const waiting: Log['lines'] = []
  let offset = 0
  let sending: Promise<void> | undefined
  let isLost = false

  async function sendWaiting(): Promise<void> {
    while (waiting.length > 0 && !isLost) {
      const lines = waiting.slice(0, MAX_LOG_LINES)
      try {
        await send({ offset, lines })
      } catch {
        // Refused, or away for too long: reports and the result will say so, if anything can.
        isLost = true
        return
      }
      offset += lines.length
      waiting.splice(0, lines.length)
    }
  }

  function flush(): Promise<void> {
    sending ??= sendWaiting().finally(() => (sending = undefined))
    return sending
  }

  const timer = setInterval(() => void flush(), SEND_INTERVAL_MILLISECONDS)
  return {
    write(text) {
      const at = new Date().toISOString()
      for (const line of text.split('\n')) {
        if (waiting.length >= MAX_WAITING_LINES || isLost) return
        waiting.push({ at, text: line.slice(0, MAX_LOG_LINE_CHARACTERS) })
      }
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await flush()
      await flush()
    },
  }
}
