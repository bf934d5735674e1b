import { open } from 'node:fs/promises'
import { promisify } from 'node:util'
import koffi from 'koffi'

const libc = koffi.load(null)
/** syncfs(2): Node has none, and fsync of every file of a database is far slower. */
const syncfs = libc.func('int syncfs(int fd)')
const syncfsAsync = promisify((fd: number, done: (err: Error | null, result: number) => void) =>
  syncfs.async(fd, done),
)

export interface FolderSync extends AsyncDisposable {
  /** Resolves when all that was written before the call is on the disk. */
  flush(): Promise<void>
}

/** Flushes the file system that holds a folder. Calls that come during a flush share the next one. */
export async function openFolderSync(folder: string): Promise<FolderSync> {
  const handle = await open(folder, 'r')
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  async function sync(): Promise<void> {
    const result = await syncfsAsync(handle.fd)
    if (result !== 0) throw new Error(`The file system of "${folder}" could not be flushed`)
  }

  function start(): Promise<void> {
    next = undefined
    running = sync().finally(() => (running = undefined))
    return running
  }

  return {
    flush() {
      if (!running) return start()
      next ??= running.then(start, start)
      return next
    },
    [Symbol.asyncDispose]: async () => {
      await (next ?? running)?.catch(() => {})
      await handle.close()
    },
  }
}
