import { mkdir, readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { S3Client } from '../images/s3/s3-client.ts'
import { createS3Objects } from '../images/s3/s3-objects.ts'
import { StoreFullError } from '../images/store/chunk-store.ts'
import { ServiceError } from '../service-error.ts'

/**
 * A store says which database it belongs to. With another one, which knows none of its images, a server takes
 * all chunks for garbage, and removes them the moment it starts.
 */
const OWNER_KEY = 'database'

/** Of the folder in a store that marks it: empty, so that no file is there that is no chunk. */
export const OWNER_PREFIX = 'database-'

/**
 * Whether the folder is marked as the database's. To be asked before anything in it is changed. Throws
 * ServiceError if it is another's.
 */
export async function isFolderOwned(folder: string, owner: string): Promise<boolean> {
  const marks = (await readdir(folder)).filter((name) => name.startsWith(OWNER_PREFIX))
  const other = marks.find((name) => name !== OWNER_PREFIX + owner)
  if (other !== undefined) throw foreign(folder, join(folder, other))
  return marks.length > 0
}

/** Of which database the folder is, as far as it says so. */
export async function findFolderOwner(folder: string): Promise<string | undefined> {
  const mark = (await readdir(folder)).find((name) => name.startsWith(OWNER_PREFIX))
  return mark?.slice(OWNER_PREFIX.length)
}

/** The same of a bucket. Throws the error of a store. */
export async function findBucketOwner(client: S3Client): Promise<string | undefined> {
  const found = await createS3Objects(client).sendUnless([404], { method: 'GET', key: OWNER_KEY })
  return found && new TextDecoder().decode(found.body).trim()
}

/** Marks a folder that nobody has. Throws ServiceError, also if another database came at the same moment. */
export async function claimFolder(folder: string, owner: string): Promise<void> {
  const mark = join(folder, OWNER_PREFIX + owner)
  await mkdir(mark, { mode: 0o750 }).catch((err: NodeJS.ErrnoException) => {
    // From a full disk machines are served all the same; it is marked at the next start.
    if (!['EEXIST', 'ENOSPC', 'EDQUOT'].includes(err.code ?? '')) throw err
  })
  await isFolderOwned(folder, owner).catch(async (err: unknown) => {
    await rmdir(mark).catch(() => {})
    throw err
  })
}

/** The same for a bucket. Throws ServiceError, or the error of a store. */
export async function claimBucket(client: S3Client, owner: string): Promise<void> {
  const objects = createS3Objects(client)
  const body = new TextEncoder().encode(`${owner}\n`)
  const headers = { 'if-none-match': '*' }
  const request = { method: 'PUT', key: OWNER_KEY, headers, body } as const
  let isFull = false
  const marked = await objects.sendUnless([412], request).catch((err: unknown) => {
    if (!(err instanceof StoreFullError)) throw err
    isFull = true
    return undefined
  })
  if (marked) return
  const { address } = client.access
  const found = await findBucketOwner(client)
  // From a full one machines are served all the same; it is marked at the next start.
  if (found === undefined && isFull) return
  if (found !== owner) throw foreign(address, `${address.replace(/\/$/, '')}/${OWNER_KEY}`)
}

function foreign(store: string, marker: string): ServiceError {
  return new ServiceError(
    `The chunk store "${store}" belongs to another database, and with this one all its chunks would be removed as garbage; ` +
      `start the server with that database, or name another store, in STAMPEDE_STORE or as --to; if that database is gone for good, remove "${marker}" first`,
  )
}
