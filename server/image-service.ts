import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { type ImageLibrary, openImageLibrary } from './api/image-library.ts'
import type { Config } from './config.ts'
import { createDatabaseCommitLock } from './db/commit-lock.ts'
import type { OpenedDatabase } from './db/database.ts'
import { closeServerUploads } from './db/uploads.ts'
import { openFolderSync } from './db/folder-sync.ts'
import { createCommitLock } from './images/commit-lock.ts'
import { createDirectoryStore, prepareDirectoryStore } from './images/directory-store.ts'
import { makeFolder } from './make-folder.ts'
import { ServiceError } from './service-error.ts'

export interface ImageServiceOptions {
  config: Pick<Config, 'dataFolder' | 'storeFolder' | 'maxImageBytes' | 'database' | 'retention'>
  database: OpenedDatabase
  log: FastifyBaseLogger
  now: () => Date
}

/** The image library on the configured store, rid of what a crash left behind. */
export async function openImageService(
  options: ImageServiceOptions,
): Promise<ImageLibrary & AsyncDisposable> {
  const { config, database } = options
  await using opened = new AsyncDisposableStack()
  const spoolFolder = join(config.dataFolder, 'spool')
  await rm(spoolFolder, { recursive: true, force: true })
  await mkdir(spoolFolder, { recursive: true, mode: 0o700 })
  await prepareStore(config.storeFolder)
  const folderSync = opened.use(await openFolderSync(config.storeFolder))
  const library = opened.use(
    openImageLibrary({
      ...options,
      store: createDirectoryStore({
        folder: config.storeFolder,
        flush: () => folderSync.flush(),
      }),
      lock:
        config.database.kind === 'postgres'
          ? createDatabaseCommitLock(database.db)
          : createCommitLock(),
      spoolFolder,
      maxImageBytes: config.maxImageBytes,
      retention: config.retention,
      freeBytes: () => freeBytes(config.storeFolder),
    }),
  )
  // The data folder is ours alone, so uploads of the embedded database died with its last process.
  if (config.database.kind === 'embedded') await closeServerUploads(database.db, new Date())
  library.sweepSoon()
  const resources = opened.move()
  return { ...library, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

async function prepareStore(folder: string): Promise<void> {
  try {
    await makeFolder(folder, 0o750)
    await prepareDirectoryStore(folder)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ServiceError(
      `The chunk store "${folder}" cannot be written (${reason}); set STAMPEDE_STORE to a folder that can`,
      { cause },
    )
  }
}

/** Undefined if the file system does not say. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  const { bavail, bsize, blocks } = await statfs(folder)
  return blocks > 0 ? bavail * bsize : undefined
}
