import type { QueryClient } from '@tanstack/react-query'
import { keys } from '../api/keys.ts'
import { applyToCache } from './apply-to-cache.ts'
import { setConnection } from './connection.ts'
import { LIVE_KINDS, type LiveEvent } from './events.ts'

/** Events of this time are shown together: two hundred machines cost one painting, not two hundred. */
const GATHER_MILLISECONDS = 150
/** The server sends something at least every 15 s; a link that died without a word is cut then. */
const SILENCE_MILLISECONDS = 40_000
/**
 * Over HTTP/1.1 a browser opens six connections to a server, for all of its tabs together: a tab that
 * was hidden this long gives its own back, or the seventh tab would wait for ever.
 */
const HIDDEN_MILLISECONDS = 10_000
const RETRY_MILLISECONDS = [500, 1000, 2000, 4000, 8000]

/**
 * The one stream of events of the page, into the query cache. The browser reconnects by itself with
 * Last-Event-ID, so that nothing is missed; where it gives up (the server answered with an error, or
 * the link went silent) a new stream is opened and everything is asked for again.
 */
export function followEvents(cache: QueryClient): () => void {
  let source: EventSource | undefined
  let retries = 0
  let timer: ReturnType<typeof setTimeout> | undefined
  let silence: ReturnType<typeof setTimeout> | undefined
  let hidden: ReturnType<typeof setTimeout> | undefined
  const gather = gatherEvents((events) => applyToCache(cache, events))

  function open(isAgain: boolean): void {
    const opened = new EventSource('/api/events')
    source = opened
    let missed = isAgain
    opened.addEventListener('open', () => {
      retries = 0
      setConnection('live')
      listenForLife()
      if (missed) void cache.invalidateQueries()
      missed = false
    })
    opened.addEventListener('error', () => {
      setConnection('reconnecting')
      if (opened.readyState === EventSource.CLOSED) openLater()
    })
    // The server no longer has what came in between.
    opened.addEventListener('reset', () => void cache.invalidateQueries())
    opened.addEventListener('heartbeat', listenForLife)
    for (const kind of LIVE_KINDS)
      opened.addEventListener(kind, (event) => {
        listenForLife()
        gather.add({ kind, data: JSON.parse(event.data) } as LiveEvent)
      })
  }

  function openLater(): void {
    source?.close()
    clearTimeout(timer)
    const wait = RETRY_MILLISECONDS[Math.min(retries, RETRY_MILLISECONDS.length - 1)]
    retries += 1
    timer = setTimeout(() => open(true), wait)
    // A session that ended looks like any other error to an EventSource.
    if (retries === 2) void cache.invalidateQueries({ queryKey: keys.session })
  }

  function listenForLife(): void {
    clearTimeout(silence)
    silence = setTimeout(() => {
      setConnection('reconnecting')
      openLater()
    }, SILENCE_MILLISECONDS)
  }

  const openNow = () => {
    // A tab that nobody looks at takes no connection, also if it was opened in the background.
    if (document.visibilityState === 'hidden' || source?.readyState === EventSource.OPEN) return
    clearTimeout(timer)
    source?.close()
    open(true)
  }
  /** Nobody looks at the page. */
  function rest(): void {
    clearTimeout(timer)
    clearTimeout(silence)
    source?.close()
  }
  const onVisibility = () => {
    clearTimeout(hidden)
    if (document.visibilityState === 'visible') openNow()
    else hidden = setTimeout(rest, HIDDEN_MILLISECONDS)
  }
  window.addEventListener('online', openNow)
  document.addEventListener('visibilitychange', onVisibility)
  if (document.visibilityState === 'visible') open(false)
  return () => {
    window.removeEventListener('online', openNow)
    document.removeEventListener('visibilitychange', onVisibility)
    clearTimeout(hidden)
    clearTimeout(timer)
    clearTimeout(silence)
    gather.stop()
    source?.close()
    setConnection('connecting')
  }
}

/** Hands events over in one go, before the next painting. */
function gatherEvents(take: (events: LiveEvent[]) => void) {
  let waiting: LiveEvent[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  function flush(): void {
    timer = undefined
    const events = waiting
    waiting = []
    take(events)
  }
  return {
    add(event: LiveEvent): void {
      waiting.push(event)
      timer ??= setTimeout(flush, GATHER_MILLISECONDS)
    },
    stop(): void {
      clearTimeout(timer)
    },
  }
}
