import { cancelRun } from './run-queries.ts'

/** Calls at once; a browser opens six connections to a server over HTTP/1.1, one is for events. */
const AT_ONCE = 4

/** Cancels each; what is refused (it ended meanwhile) does not stop the others. */
export async function cancelRuns(ids: readonly string[]): Promise<{ refused: unknown[] }> {
  const refused: unknown[] = []
  const queue = [...ids]
  async function work(): Promise<void> {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      await cancelRun(id).catch((error: unknown) => refused.push(error))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return { refused }
}
