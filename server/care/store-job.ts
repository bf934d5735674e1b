import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { StoreJobName } from '#protocol/store.ts'
import type { Database } from '#server/db/database.ts'
import {
  claimJob,
  getJob,
  type JobRow,
  releaseJob,
  saveJobState,
} from '#server/db/store/store-jobs.ts'

export interface StoreJobOptions {
  name: StoreJobName
  db: Database
  log: FastifyBaseLogger
  /** Whether there is something to do. */
  isDue: (row: JobRow) => Promise<boolean> | boolean
  /** Works until it is done, or gives up at the signal; whatever it has to remember it saves. */
  work: (context: JobContext) => Promise<void>
  lookMilliseconds?: number
}

export interface JobContext {
  row: JobRow
  signal: AbortSignal
  save: (state: Record<string, unknown>) => Promise<void>
}

export interface StoreJob extends AsyncDisposable {
  /** There may be something to do: looks at once. */
  wake(): void
  /** Gives up what it does at the moment; it goes on when it is due again. */
  interrupt(): void
  readonly isWorking: boolean
}

const LOOK_MILLISECONDS = 5000
/** Of several servers on one database one works; if it dies, another one may go on after this. */
const CLAIM_SECONDS = 60
const RECLAIM_MILLISECONDS = 15_000

/** Work in the background of one server among those that share the store. */
export function openStoreJob(options: StoreJobOptions): StoreJob {
  const { name, db, log, isDue, work, lookMilliseconds = LOOK_MILLISECONDS } = options
  const server = randomUUID()
  const stop = new AbortController()
  let wakeUp = Promise.withResolvers<void>()
  let current: AbortController | undefined

  async function claim(): Promise<boolean> {
    const now = new Date()
    const until = new Date(now.getTime() + CLAIM_SECONDS * 1000)
    return claimJob(db, name, { server, now, until })
  }

  async function look(): Promise<void> {
    if (!(await isDue(await getJob(db, name))) || !(await claim())) return
    const working = new AbortController()
    current = working
    const signal = AbortSignal.any([stop.signal, working.signal])
    const reclaiming = setInterval(() => {
      claim().then(
        (isOurs) => isOurs || working.abort(),
        (err: unknown) => working.abort(err),
      )
    }, RECLAIM_MILLISECONDS)
    try {
      const row = await getJob(db, name)
      await work({ row, signal, save: (state) => saveJobState(db, name, state) })
    } catch (err) {
      if (!signal.aborted) throw err
    } finally {
      current = undefined
      clearInterval(reclaiming)
      await releaseJob(db, name, server)
    }
  }

  async function loop(): Promise<void> {
    while (!stop.signal.aborted) {
      await look().catch((err: unknown) =>
        log.error({ err, job: name }, 'Work on the store failed'),
      )
      const waiting = new AbortController()
      const { signal } = waiting
      await Promise.race([
        wakeUp.promise,
        sleep(lookMilliseconds, undefined, { signal, ref: false }),
      ])
      waiting.abort()
      wakeUp = Promise.withResolvers()
    }
  }

  const looping = loop()
  return {
    wake: () => wakeUp.resolve(),
    interrupt: () => current?.abort(),
    get isWorking() {
      return current !== undefined
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      wakeUp.resolve()
      await looping
    },
  }
}
