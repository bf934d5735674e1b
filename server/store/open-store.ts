import { readdir, realpath, stat, statfs } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createChunkTouches } from '../db/store/chunk-touches.ts'
import type { DatabaseConfig, OpenedDatabase } from '../db/database.ts'
import { openFolderSync } from '../db/folder-sync.ts'
import { getStoreOwner } from '../db/store/store-owner.ts'
import { type ChunkStore, PREFIXES, StoreUnreachableError } from '../images/store/chunk-store.ts'
import { createDirectoryStore, prepareDirectoryStore } from '../images/store/directory-store.ts'
import { checkS3Store, lookAtS3 } from '../images/s3/s3-check.ts'
import { createS3Client } from '../images/s3/s3-client.ts'
import { createS3Store } from '../images/s3/s3-store.ts'
import { makeFolder } from '../make-folder.ts'
import { ServiceError } from '../service-error.ts'
import type { StoreConfig } from '../settings/store-config.ts'
import { claimBucket, claimFolder, isFolderOwned, OWNER_PREFIX } from './store-owner.ts'

/**
 * Longer than it takes to write a chunk, or to move one away that may have to come back: where several servers share
 * a store, none takes these from another. The embedded database has one server.
 */
const HALF_WRITTEN_MILLISECONDS = 600_000
const STORE_FOLDERS = new Set([...PREFIXES, 'tmp', 'quarantine', 'lost+found'])

export interface OpenedStore extends AsyncDisposable {
  store: ChunkStore
  /** Of the file system that it lies on; undefined where it does not say. */
  size: () => Promise<{ freeBytes: number | undefined; totalBytes: number | undefined }>
}

/** Its chunks are known by it, and their touches written to it, if the store cannot keep them. */
export interface StoreDatabase {
  database: Pick<OpenedDatabase, 'db' | 'flush'>
  kind: DatabaseConfig['kind']
}

/**
 * Opens a store and makes it the database's. Throws ServiceError, in one sentence, if it cannot be used
 * as it is, or is another's.
 */
export async function openStore(
  config: StoreConfig,
  { database, kind }: StoreDatabase,
): Promise<OpenedStore> {
  const owner = await getStoreOwner(database.db)
  // A power cut must not leave a store that is marked with what no database knows.
  await database.flush()
  if (config.kind === 'folder')
    return await openFolder(
      config.folder,
      owner,
      kind === 'postgres' ? HALF_WRITTEN_MILLISECONDS : 0,
    )
  await checkS3Store(config.access).catch(explain)
  const opened = openBucket(config, { database, kind })
  try {
    await claimBucket(opened.client, owner).catch(explain)
    return opened
  } catch (err) {
    await opened[Symbol.asyncDispose]()
    throw err
  }
}

/** A store that is another's, or a copy: only read, and left as it is. Throws ServiceError. */
export async function openStoreToRead(
  config: StoreConfig,
  database: StoreDatabase,
): Promise<Pick<OpenedStore, 'store' | typeof Symbol.asyncDispose>> {
  if (config.kind === 's3') {
    await lookAtS3(config.access).catch(explain)
    return openBucket(config, database)
  }
  const { folder } = config
  await stat(folder).catch((cause: Error) => {
    throw new ServiceError(`The chunk store "${folder}" cannot be read (${cause.message})`, {
      cause,
    })
  })
  const store = createDirectoryStore({ folder, flush: async () => {} })
  return { store, async [Symbol.asyncDispose]() {} }
}

function openBucket(
  { access }: Extract<StoreConfig, { kind: 's3' }>,
  { database, kind }: StoreDatabase,
) {
  const client = createS3Client(access)
  return {
    client,
    store: createS3Store(client, createChunkTouches(database.db, kind)),
    size: async () => ({ freeBytes: undefined, totalBytes: undefined }),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]()
    },
  }
}

function explain(cause: unknown): never {
  if (!(cause instanceof StoreUnreachableError)) throw cause
  throw new ServiceError(cause.message, { cause })
}

async function openFolder(
  folder: string,
  owner: string,
  keptMilliseconds: number,
): Promise<OpenedStore> {
  try {
    await makeFolder(folder, 0o750)
    const isOwned = await isFolderOwned(folder, owner)
    await prepareDirectoryStore(folder, keptMilliseconds)
    if (!isOwned) await claimFolder(folder, owner)
  } catch (cause) {
    if (cause instanceof ServiceError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ServiceError(
      `The chunk store "${folder}" cannot be written (${reason}); name a folder that can, in STAMPEDE_STORE or as --to`,
      { cause },
    )
  }
  const folderSync = await openFolderSync(folder)
  return {
    store: createDirectoryStore({ folder, flush: () => folderSync.flush() }),
    size: () => sizeOf(folder),
    [Symbol.asyncDispose]: () => folderSync[Symbol.asyncDispose](),
  }
}

const NOTHING_KNOWN = { bavail: 0, bsize: 0, blocks: 0 }

async function sizeOf(folder: string) {
  // Where it is not mounted, whoever needs a chunk is told.
  const { bavail, bsize, blocks } = await statfs(folder).catch(() => NOTHING_KNOWN)
  if (blocks === 0) return { freeBytes: undefined, totalBytes: undefined }
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

/** Throws ServiceError for a folder that holds anything but chunks: a slip must not fill /etc. */
export async function refuseStrangers(folder: string): Promise<void> {
  const names = await readdir(folder).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return []
    throw new ServiceError(`"${folder}" cannot be read: ${err.message}`, { cause: err })
  })
  const isOfStore = (name: string) => STORE_FOLDERS.has(name) || name.startsWith(OWNER_PREFIX)
  const stranger = names.find((name) => !isOfStore(name))
  if (stranger !== undefined)
    throw new ServiceError(
      `"${folder}" is no chunk store, for "${stranger}" is in it; name a folder that is empty or not there yet`,
    )
}

/**
 * Throws ServiceError for a copy that would lie in what it is a copy of, or around it, by whatever
 * name: whoever deletes the old store when all is well would delete the new one.
 */
export async function refuseOverlap(from: StoreConfig, to: StoreConfig): Promise<void> {
  if (from.kind !== 'folder' || to.kind !== 'folder') return
  const [old, copy] = [await realFolder(from.folder), await realFolder(to.folder)]
  if (old === copy)
    throw new ServiceError(
      `"${to.folder}" and "${from.folder}" are the same folder; name another one`,
    )
  const isInside = `${copy}/`.startsWith(`${old}/`) || `${old}/`.startsWith(`${copy}/`)
  if (isInside)
    throw new ServiceError(
      `Of "${to.folder}" and "${from.folder}" one lies in the other; name a folder beside it`,
    )
}

/** Without links; what is not there yet is where its parent is. */
async function realFolder(folder: string): Promise<string> {
  return await realpath(folder).catch(async (err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT' || dirname(folder) === folder) return folder
    return join(await realFolder(dirname(folder)), basename(folder))
  })
}
