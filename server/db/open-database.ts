import { mkdir } from 'node:fs/promises'
import { PGlite } from '@electric-sql/pglite'
import { DrizzleQueryError, sql } from 'drizzle-orm'
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import { migrate as migratePglite } from 'drizzle-orm/pglite/migrator'
import type pg from 'pg'
import type { Database, DatabaseConfig, OpenedDatabase } from './database.ts'
import {
  DatabaseFailedError,
  DatabaseFullError,
  findLackOfRoom,
  stopAtPanic,
} from './embedded-failure.ts'
import { openFolderSync } from './folder-sync.ts'
import { findNewerRelease, MIGRATIONS } from './newer-release.ts'
import { listenOnPostgres } from './postgres-listener.ts'
import { openPostgresPool } from './postgres-pool.ts'
import * as schema from './schema.ts'
import { completeTransactions } from './transactions.ts'

/**
 * Of the usual 128 MB most would lie idle: the kernel caches the same files, and this server is to run on
 * small machines, too.
 */
const PGLITE_PARAMETERS = [...PGlite.defaultStartParams, '-c', 'shared_buffers=32MB']

export class DatabaseOpenError extends Error {
  override name = 'DatabaseOpenError'
}

/** Any number will do, as long as all our processes take the same one. */
const MIGRATION_LOCK = 7_823_461

/** Opens the database and brings its tables up to date. Throws DatabaseOpenError. */
export function openDatabase(config: DatabaseConfig): Promise<OpenedDatabase> {
  switch (config.kind) {
    case 'embedded':
      return openEmbedded(config.folder)
    case 'postgres':
      return openPostgres(config.url)
  }
}

async function openEmbedded(folder: string): Promise<OpenedDatabase> {
  await using opened = new AsyncDisposableStack()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const lack = await findLackOfRoom(folder)
  if (lack !== undefined) throw new DatabaseOpenError(lack)
  const client = opened.adopt(await createPglite(folder), (pglite) => pglite.close())
  const failed = stopAtPanic(client, folder)
  const db = completeTransactions(drizzlePglite(client, { schema, casing: 'snake_case' }))
  // The data folder's lock keeps other processes out, so nobody else can be migrating.
  const migrate = () => migratePglite(db, MIGRATIONS)
  await bringUpToDate(db, migrate, `make sure that the disk of "${folder}" has room`)
  const folderSync = opened.use(await openFolderSync(folder))
  const resources = opened.move()
  return {
    db,
    failed,
    flush: () => folderSync.flush(),
    async checkRoom() {
      const lack = await findLackOfRoom(folder)
      if (lack !== undefined) throw new DatabaseFullError(lack)
    },
    async listen(channel, onNotify) {
      const unlisten = await client.listen(channel, onNotify)
      return { [Symbol.asyncDispose]: () => unlisten() }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function createPglite(folder: string): Promise<PGlite> {
  try {
    return await PGlite.create({ dataDir: folder, startParams: PGLITE_PARAMETERS })
  } catch (cause) {
    throw new DatabaseOpenError(
      `The embedded database in "${folder}" does not open (${String(cause)}); restore the folder from a backup or move it away to begin anew`,
      { cause },
    )
  }
}

async function openPostgres(url: string): Promise<OpenedDatabase> {
  await using opened = new AsyncDisposableStack()
  const pool = opened.adopt(openPostgresPool(url), (open) => open.end())
  const db = completeTransactions(drizzlePostgres(pool, { schema, casing: 'snake_case' }))
  await migrateUnderLock(pool, url)
  const resources = opened.move()
  return {
    db,
    failed: new AbortController().signal,
    flush: async () => {},
    checkRoom: async () => {},
    listen: (channel, onNotify) => listenOnPostgres(url, channel, onNotify),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** Several servers may start at once, and drizzle's migrator takes no lock of its own. */
async function migrateUnderLock(pool: pg.Pool, url: string): Promise<void> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw new DatabaseOpenError(
      `Postgres at ${withoutPassword(url)} does not answer (${String(cause)}); check DATABASE_URL and that the server runs`,
      { cause },
    )
  })
  try {
    const db = drizzlePostgres(client, { schema, casing: 'snake_case' })
    await db.execute(sql`select pg_advisory_lock(${MIGRATION_LOCK})`)
    try {
      const migrate = () => migratePostgres(db, MIGRATIONS)
      await bringUpToDate(
        db,
        migrate,
        'make sure that it has room, and that the user of DATABASE_URL owns it and all of its tables (since Postgres 15 nobody else may make any)',
      )
    } finally {
      await db.execute(sql`select pg_advisory_unlock(${MIGRATION_LOCK})`)
    }
  } finally {
    client.release()
  }
}

/** Throws DatabaseOpenError. All migrations are one transaction. */
async function bringUpToDate(
  db: Database,
  migrate: () => Promise<void>,
  advice: string,
): Promise<void> {
  try {
    const newer = await findNewerRelease(db)
    if (newer !== undefined) throw new DatabaseOpenError(newer)
    await migrate()
  } catch (cause) {
    if (cause instanceof DatabaseOpenError) throw cause
    const reason = cause instanceof DrizzleQueryError ? cause.cause : cause
    if (reason instanceof DatabaseFailedError)
      throw new DatabaseOpenError(reason.message, { cause })
    throw new DatabaseOpenError(
      `The tables of the database could not be brought up to date and are as they were (${reason instanceof Error ? reason.message : String(reason)}); ${advice}, and start the server again`,
      { cause },
    )
  }
}

function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return 'DATABASE_URL'
  const parsed = new URL(url)
  parsed.password = ''
  return parsed.href
}
