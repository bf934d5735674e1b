import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { type ImageLibrary, openImageLibrary } from '../api/library/image-library.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Config } from '../config.ts'
import { createDatabaseCommitLock } from '../db/images/commit-lock.ts'
import type { OpenedDatabase } from '../db/database.ts'
import { closeServerUploads } from '../db/images/uploads.ts'
import { createCommitLock } from '../images/commit/commit-lock.ts'
import { limitStore, measureRoom } from '../images/store/store-room.ts'
import { tellOutages } from '../images/store/tell-outages.ts'
import { openStore } from './open-store.ts'

export interface ImageServiceOptions {
  config: Pick<
    Config,
    'dataFolder' | 'store' | 'storeQuotaBytes' | 'maxImageBytes' | 'database' | 'retention'
  >
  database: OpenedDatabase
  log: FastifyBaseLogger
  onDamaged: (hash: Sha256, reason: string) => void
  lacking: (digest: Sha256) => Promise<number>
  now: () => Date
}

/** From when an export was found to when its first byte is asked for. */
const EMBEDDED_GRACE_SECONDS = 60

/** For what cannot be read from front to back; emptied at every start. */
export function spoolFolderOf({ dataFolder }: Pick<Config, 'dataFolder'>): string {
  return join(dataFolder, 'spool')
}

/** The image library on the configured store, rid of what a crash left behind. */
export async function openImageService(
  options: ImageServiceOptions,
): Promise<ImageLibrary & AsyncDisposable> {
  const { config, database } = options
  await using opened = new AsyncDisposableStack()
  const spoolFolder = spoolFolderOf(config)
  await rm(spoolFolder, { recursive: true, force: true })
  await mkdir(spoolFolder, { recursive: true, mode: 0o700 })
  const { kind } = config.database
  const { store, size } = opened.use(await openStore(config.store, { database, kind }))
  const quotaBytes = config.storeQuotaBytes
  const measure = async (usedBytes: number) =>
    measureRoom({
      ...(await size()),
      quotaBytes,
      usedBytes: usedBytes + limited.putSince(usedBytes),
    })
  const limited = limitStore(tellOutages(store, options.log), () => library.room())
  const library: ImageLibrary = opened.use(
    openImageLibrary({
      ...options,
      store: limited.store,
      lock: kind === 'postgres' ? createDatabaseCommitLock(database.db) : createCommitLock(),
      spoolFolder,
      maxImageBytes: config.maxImageBytes,
      retention: config.retention,
      room: measure,
      onCommit: () => limited.committed(),
      onSweep: () => limited.sweeping(),
      // The embedded database has one server, which knows all exports.
      ...(kind === 'embedded' && { replacedGraceSeconds: EMBEDDED_GRACE_SECONDS }),
    }),
  )
  // The data folder is ours alone, so uploads of the embedded database died with its last process.
  if (kind === 'embedded') await closeServerUploads(database.db)
  library.sweepSoon()
  const resources = opened.move()
  return { ...library, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
