import { readFile, rm, writeFile } from 'node:fs/promises'
import { isAlive } from './process.ts'

const POLL_MS = 1_000
/** Longer than all golden images take on a busy machine. */
const LOCK_DEADLINE_MS = 40 * 60_000

/**
 * Waits until no other process holds the lock `file`, and holds it. The file names its holder, so
 * that the lock of a process that was killed is taken over.
 */
export async function openLock(
  file: string,
  progress: (message: string) => void,
): Promise<AsyncDisposable> {
  const deadline = Date.now() + LOCK_DEADLINE_MS
  for (let waits = 0; ; waits++) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' })
      return { [Symbol.asyncDispose]: () => rm(file, { force: true }) }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = Number(await readFile(file, 'utf8').catch(() => ''))
    // An empty file is one that its maker has not written yet.
    if (holder > 0 && holder !== process.pid && !isAlive(holder)) await rm(file, { force: true })
    else if (Date.now() > deadline)
      throw new Error(`Process ${holder} holds "${file}" for too long; end it or delete the file`)
    else {
      if (waits === 0) progress(`Waiting for process ${holder}, which makes a golden image`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }
}
