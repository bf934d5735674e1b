import { type ChunkStore, StoreUnreachableError } from './chunk-store.ts'

/** Of the server's log. */
export interface OutageLog {
  error: (facts: object, message: string) => void
  info: (facts: object, message: string) => void
}

/**
 * The store, whose outages are logged: when each begins, and when it is over. Hundreds of requests fail
 * meanwhile, whose callers wait; a log that has a line of each hides what else is wrong. A disk that became
 * read-only can still be read, so the two are told of apart.
 */
export function tellOutages(
  store: ChunkStore,
  log: OutageLog,
  now: () => number = () => performance.now(),
): ChunkStore {
  const reading = createOutage('Chunks cannot be read', 'Chunks can be read again')
  const storing = createOutage('Chunks cannot be stored', 'Chunks can be stored again')

  function createOutage(begins: string, ends: string) {
    let since: number | undefined
    return async <Result>(work: Promise<Result>): Promise<Result> => {
      try {
        const result = await work
        if (since !== undefined) log.info({ seconds: Math.round((now() - since) / 1000) }, ends)
        since = undefined
        return result
      } catch (err) {
        if (err instanceof StoreUnreachableError && since === undefined) {
          since = now()
          log.error({ err }, `${begins}; whoever needs them waits`)
        }
        throw err
      }
    }
  }

  return {
    ...store,
    touch: (hashes) => reading(store.touch(hashes)),
    read: (hash, buffer, options) => reading(store.read(hash, buffer, options)),
    putIfAbsent: (hash, bytes) => storing(store.putIfAbsent(hash, bytes)),
    ...(store.putIfRight && {
      putIfRight: (hash, bytes) => storing(store.putIfRight!(hash, bytes)),
    }),
    replace: (hash, bytes) => storing(store.replace(hash, bytes)),
  }
}
