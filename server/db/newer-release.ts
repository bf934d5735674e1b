import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { Database } from './database.ts'

/** As drizzle takes them. */
export const MIGRATIONS = {
  migrationsFolder: new URL('../../migrations', import.meta.url).pathname,
}

/**
 * Why a database that a newer release has changed is not to be used: what this one does not know of, it would
 * not keep from being swept. Undefined if all that was done to it is known here.
 */
export async function findNewerRelease(db: Database): Promise<string | undefined> {
  const table = 'drizzle.__drizzle_migrations'
  const [found] = await rowsOf(db, sql`select to_regclass(${table}) is not null as value`)
  if (!found?.value) return undefined
  const newest = readMigrationFiles(MIGRATIONS).at(-1)?.folderMillis ?? 0
  const unknown = await rowsOf(
    db,
    sql`select hash as value from drizzle.__drizzle_migrations where created_at > ${newest}`,
  )
  if (unknown.length === 0) return undefined
  return (
    `The database was changed by a newer release of Stampede (${unknown.length} ${unknown.length === 1 ? 'migration is' : 'migrations are'} not known to this one), ` +
    'which may keep there what this one would take for garbage; start that release, or restore the backup from before it'
  )
}

async function rowsOf(
  db: Database,
  statement: ReturnType<typeof sql>,
): Promise<{ value: unknown }[]> {
  const result = await db.execute(statement)
  return (result as unknown as { rows: { value: unknown }[] }).rows // both drivers answer so
}
