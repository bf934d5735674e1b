import { statfs } from 'node:fs/promises'
import type { PGlite } from '@electric-sql/pglite'

/** The database stopped in a way that only a restart of the server mends; no commit is lost. */
export class DatabaseFailedError extends Error {
  override name = 'DatabaseFailedError'
}

/** The disk of the database has so little room that what begins now may not be finished. */
export class DatabaseFullError extends Error {
  override name = 'DatabaseFullError'
}

/** Twice what one file of its write-ahead log takes, and as much for what is written beside. */
const MIN_FREE_BYTES = 64 * 1024 * 1024

/**
 * Why the database should not be opened in this folder, and nothing large be begun in it; undefined if there
 * is nothing against it.
 */
export async function findLackOfRoom(folder: string): Promise<string | undefined> {
  const { bavail, bsize, blocks } = await statfs(folder)
  const freeBytes = bavail * bsize
  // Some file systems do not say how large they are.
  if (blocks === 0 || freeBytes >= MIN_FREE_BYTES) return undefined
  return `${freeBytes} bytes are free on the disk of "${folder}", and the embedded database needs ${MIN_FREE_BYTES}; make room there and try again`
}

/**
 * Where Postgres panics (it cannot extend its log, as on a full disk) it means to end its process. PGlite is
 * told so, but is in our process, and whatever is asked of it next never returns: so nothing is.
 */
export function stopAtPanic(client: PGlite, folder: string): AbortSignal {
  const failed = new AbortController()
  const execProtocol = client.execProtocol.bind(client)
  const execProtocolStream = client.execProtocolStream.bind(client)
  const execProtocolRawSync = client.execProtocolRawSync.bind(client)

  function rethrow(err: unknown): never {
    if (isPanic(err))
      failed.abort(
        new DatabaseFailedError(
          `The embedded database in "${folder}" stopped (${err.message}); make sure that its disk has room and is in order, and start the server again`,
          { cause: err },
        ),
      )
    failed.signal.throwIfAborted()
    throw err
  }

  client.execProtocolRawSync = (message) => {
    failed.signal.throwIfAborted()
    return execProtocolRawSync(message)
  }
  client.execProtocol = (message, options) => execProtocol(message, options).catch(rethrow)
  client.execProtocolStream = (message, options) =>
    execProtocolStream(message, options).catch(rethrow)
  return failed.signal
}

const ENDS_PROCESS: readonly unknown[] = ['PANIC', 'FATAL']

function isPanic(err: unknown): err is Error {
  return err instanceof Error && 'severity' in err && ENDS_PROCESS.includes(err.severity)
}
