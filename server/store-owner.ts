import { randomUUID } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TEMPORARY_FOLDER } from './images/store/place-chunk.ts'
import type { S3Client } from './images/s3/s3-client.ts'
import { createS3Objects } from './images/s3/s3-objects.ts'
import { ServiceError } from './service-error.ts'

/**
 * A store says which database it belongs to. With another one, which knows none of its images, a server takes
 * all chunks for garbage, and removes them the moment it starts.
 */
export const OWNER_NAME = 'database'

/**
 * Whether the folder is marked as the database's. To be asked before anything in it is changed. Throws
 * ServiceError if it is another's.
 */
export async function isFolderOwned(folder: string, owner: string): Promise<boolean> {
  const path = join(folder, OWNER_NAME)
  const found = await readFile(path, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined
    throw new ServiceError(`"${path}" cannot be read: ${err.message}`, { cause: err })
  })
  if (found !== undefined && found.trim() !== owner) throw foreign(folder, path)
  return found !== undefined
}

/** Marks a folder that was prepared, unless somebody else was faster. Throws ServiceError. */
export async function claimFolder(folder: string, owner: string): Promise<void> {
  const temporary = join(folder, TEMPORARY_FOLDER, randomUUID())
  try {
    await writeFile(temporary, `${owner}\n`, { mode: 0o640, flush: true })
    await link(temporary, join(folder, OWNER_NAME))
  } catch (err) {
    // From a full disk machines are served all the same; it is marked at the next start.
    if (!['EEXIST', 'ENOSPC', 'EDQUOT'].includes((err as NodeJS.ErrnoException).code ?? ''))
      throw err
  } finally {
    await rm(temporary, { force: true })
  }
  await isFolderOwned(folder, owner)
}

/** The same for a bucket. Throws ServiceError, or the error of a store. */
export async function claimBucket(client: S3Client, owner: string): Promise<void> {
  const objects = createS3Objects(client)
  const body = new TextEncoder().encode(`${owner}\n`)
  const headers = { 'if-none-match': '*' }
  if (await objects.sendUnless([412], { method: 'PUT', key: OWNER_NAME, headers, body })) return
  const found = await objects.sendUnless([404], { method: 'GET', key: OWNER_NAME })
  const { address } = client.access
  if (!found || new TextDecoder().decode(found.body).trim() !== owner)
    throw foreign(address, `${address.replace(/\/$/, '')}/${OWNER_NAME}`)
}

function foreign(store: string, marker: string): ServiceError {
  return new ServiceError(
    `The chunk store "${store}" belongs to another database, and with this one all its chunks would be removed as garbage; ` +
      `start the server with that database, or name another store, in STAMPEDE_STORE or as --to; if that database is gone for good, remove "${marker}" first`,
  )
}
