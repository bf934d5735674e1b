import {
  access,
  chmod,
  constants,
  type FileHandle,
  open,
  readdir,
  readFile,
  writeFile,
} from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import koffi from 'koffi'
import { createToken } from './api/access/auth.ts'
import { makeFolder } from './make-folder.ts'

/** flock(2): Node has none. The kernel drops the lock with the process, whatever kills it. */
const flock = koffi.load(null).func('int flock(int fd, int operation)')
const LOCK_EXCLUSIVE = 2
const LOCK_NONBLOCKING = 4

export class DataFolderError extends Error {
  override name = 'DataFolderError'
}

/** Makes the folder and keeps other servers out of it until disposed. Throws DataFolderError. */
export async function openDataFolder(folder: string): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  const lock = opened.use(await openLockFile(folder))
  if (flock(lock.fd, LOCK_EXCLUSIVE | LOCK_NONBLOCKING) !== 0) {
    const holder = (await lock.readFile('utf8')).trim()
    throw new DataFolderError(
      `The data folder "${folder}" is in use by another server (process ${holder || 'unknown'}); stop it, or set STAMPEDE_DATA to another folder`,
    )
  }
  await refuseForeignFiles(folder)
  await lock.truncate()
  await lock.write(`${process.pid}\n`, 0)
  const resources = opened.move()
  return { [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** As after a restore by root: to the embedded database its own files would seem broken. */
async function refuseForeignFiles(folder: string): Promise<void> {
  const database = join(folder, 'database')
  try {
    for (const name of ['admin-token', 'receipt-key.pem'])
      await checkAccess(join(folder, name), constants.R_OK)
    await checkAccess(database, constants.R_OK | constants.W_OK)
    const names = existsSync(database) ? await readdir(database, { recursive: true }) : []
    for (const name of names)
      await checkAccess(join(database, name), constants.R_OK | constants.W_OK)
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException
    throw new DataFolderError(
      `"${path}" cannot be used (${code}); give the data folder "${folder}" and all that is in it to the user of the server, as "chown -R" does`,
      { cause },
    )
  }
}

/** What is not there yet is made by the server itself. */
async function checkAccess(path: string, mode: number): Promise<void> {
  await access(path, mode).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err
  })
}

async function openLockFile(folder: string): Promise<FileHandle> {
  try {
    await makeFolder(folder, 0o700)
    return await open(join(folder, 'lock'), 'a+', 0o600)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DataFolderError(
      `The data folder "${folder}" cannot be written (${reason}); set STAMPEDE_DATA to one that can`,
      { cause },
    )
  }
}

export interface AdminToken {
  token: string
  /** Where it is kept; absent if the environment gave it. */
  path?: string
  /** Made just now, so nobody has seen it yet. */
  isNew: boolean
}

/** The token of the environment, else the folder's, made if there is none. */
export async function openAdminToken(
  folder: string,
  configured: string | undefined,
): Promise<AdminToken> {
  if (configured !== undefined) return { token: configured, isNew: false }
  const path = join(folder, 'admin-token')
  const present = await readFile(path, 'utf8').catch((err: unknown) => {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw err
  })
  if (present?.trim()) {
    await chmod(path, 0o600)
    return { token: present.trim(), path, isNew: false }
  }
  const token = createToken()
  await writeFile(path, `${token}\n`, { mode: 0o600 })
  return { token, path, isNew: true }
}
