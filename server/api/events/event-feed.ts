import type { OpenedDatabase } from '#server/db/database.ts'
import {
  EVENTS_CHANNEL,
  lastEventId,
  listEventsAfter,
  oldestEventId,
  PROGRESS_CHANNEL,
  type StoredEvent,
} from '#server/db/events.ts'

/** How far the agent got with a step of a run, at most once a second a run; never stored. */
export interface Progress {
  run: string
  mac: string
  step: string
  state: string
  bytesDone: number
  bytesTotal: number
  bytesPerSecond: number
}

export interface EventFeed extends AsyncDisposable {
  /** The id of the newest event: what came until now. */
  newestId(): Promise<number>
  /** What came after `lastId`, and then what comes, until `signal` aborts. */
  follow(lastId: number, signal: AbortSignal): AsyncGenerator<FeedItem>
}

export type FeedItem =
  | { kind: 'event'; event: StoredEvent }
  /** Of several runs, sent in one piece. */
  | { kind: 'progress'; progresses: readonly Progress[] }
  /** What came after `lastId` is not all there any more: read everything anew, then go on from `id`. */
  | { kind: 'reset'; id: number; lastId: number }
  /** Nothing came for a while; tells both sides that the connection lives. */
  | { kind: 'heartbeat' }

const BATCH_EVENTS = 100
const NO_EVENTS = { items: [], isMore: false }
const HEARTBEAT_MILLISECONDS = 15_000
const PROGRESS_INTERVAL_MILLISECONDS = 1000
/** Should a notification be lost, listeners look for themselves. */
const LOOK_MILLISECONDS = 5000

/**
 * What happens, for any number of listeners. The table of events is each one's queue: a listener reads
 * on when it has taken what it got, so a slow one costs no memory; of progress it gets the newest.
 */
export async function openEventFeed(database: OpenedDatabase): Promise<EventFeed> {
  await using opened = new AsyncDisposableStack()
  const listeners = new Set<Listener>()
  let reads = new Map<number, ReturnType<typeof listEventsAfter>>()
  opened.use(
    await database.listen(EVENTS_CHANNEL, () => {
      reads = new Map() // what began before may not have seen this news
      for (const listener of listeners) listener.wake()
    }),
  )
  opened.use(
    await database.listen(PROGRESS_CHANNEL, (payload) => {
      if (payload === '') return // reconnected: what was missed is missed
      const progresses = JSON.parse(payload) as Progress[]
      for (const listener of listeners) listener.offer(progresses)
    }),
  )
  const resources = opened.move()

  async function* follow(lastId: number, signal: AbortSignal): AsyncGenerator<FeedItem> {
    const listener = createListener()
    listeners.add(listener)
    const stop = () => listener.wake()
    signal.addEventListener('abort', stop)
    try {
      let seen = lastId
      let spokeAt = Date.now()
      const newest = await newestId()
      // An id that is yet to come is of another database, or of this one before a backup came back.
      if (seen > newest) yield { kind: 'reset', id: (seen = newest), lastId }
      while (!signal.aborted) {
        const { items: events, isMore } = listener.takeNews(Date.now())
          ? await readAfter(seen)
          : NO_EVENTS
        if (events[0] && (await isGapAfter(seen, events[0].id))) {
          const id = await newestId()
          yield { kind: 'reset', id, lastId: seen }
          seen = id
          continue
        }
        const progresses = listener.takeProgress(Date.now())
        for (const event of events) {
          yield { kind: 'event', event }
          seen = event.id
        }
        if (progresses.length > 0) yield { kind: 'progress', progresses }
        if (events.length + progresses.length > 0) spokeAt = Date.now()
        else if (Date.now() - spokeAt >= HEARTBEAT_MILLISECONDS) {
          yield { kind: 'heartbeat' }
          spokeAt = Date.now()
        }
        if (isMore) listener.wake()
        else await listener.wait()
      }
    } finally {
      signal.removeEventListener('abort', stop)
      listeners.delete(listener)
    }
  }

  /** Listeners that have seen the same ask together: fifty of them cost one query an event. */
  function readAfter(id: number): ReturnType<typeof listEventsAfter> {
    const known = reads.get(id)
    if (known) return known
    const among = reads
    const read = listEventsAfter(database.db, id, BATCH_EVENTS).finally(() => among.delete(id))
    among.set(id, read)
    return read
  }

  const newestId = () => lastEventId(database.db)

  /** Whether events between these two were forgotten. A transaction that failed leaves a hole too. */
  async function isGapAfter(seen: number, next: number): Promise<boolean> {
    if (next === seen + 1) return false
    const oldest = await oldestEventId(database.db)
    return oldest === undefined || oldest > seen
  }

  return { newestId, follow, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

interface Listener {
  wake(): void
  offer(progresses: readonly Progress[]): void
  /** Whether there may be new events: progress alone is no reason to ask the database. */
  takeNews(nowMilliseconds: number): boolean
  /** The newest of each run that is due. */
  takeProgress(nowMilliseconds: number): Progress[]
  /** Until there may be something to read. */
  wait(): Promise<void>
}

function createListener(): Listener {
  const newest = new Map<string, Progress>()
  const sentAt = new Map<string, number>()
  let isAwake = false
  let hasNews = true
  let lookedAt = 0
  let resume: (() => void) | undefined

  function goOn(): void {
    isAwake = true
    resume?.()
  }

  return {
    wake() {
      hasNews = true
      goOn()
    },
    offer(progresses) {
      for (const progress of progresses) newest.set(progress.run, progress)
      goOn()
    },
    takeNews(nowMilliseconds) {
      if (!hasNews && nowMilliseconds - lookedAt < LOOK_MILLISECONDS) return false
      hasNews = false
      lookedAt = nowMilliseconds
      return true
    },
    takeProgress(nowMilliseconds) {
      for (const [run, at] of sentAt)
        if (nowMilliseconds - at >= PROGRESS_INTERVAL_MILLISECONDS) sentAt.delete(run)
      const due = [...newest.values()].filter(({ run }) => !sentAt.has(run))
      for (const { run } of due) {
        newest.delete(run)
        sentAt.set(run, nowMilliseconds)
      }
      return due
    },
    async wait() {
      // What was held back for its second is looked at again when that is over.
      const milliseconds = newest.size > 0 ? PROGRESS_INTERVAL_MILLISECONDS : LOOK_MILLISECONDS
      if (!isAwake) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, milliseconds)
          resume = () => {
            clearTimeout(timer)
            resolve()
          }
        })
      }
      isAwake = false
      resume = undefined
    },
  }
}
