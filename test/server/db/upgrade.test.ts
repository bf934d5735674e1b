import assert from 'node:assert/strict'
import { cp, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { PGlite } from '@electric-sql/pglite'
import { sql } from 'drizzle-orm'
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres'
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator'
import { drizzle as drizzlePglite } from 'drizzle-orm/pglite'
import { migrate as migratePglite } from 'drizzle-orm/pglite/migrator'
import pg from 'pg'
import type { DatabaseConfig } from '#server/db/database.ts'
import { DatabaseOpenError, openDatabase } from '#server/db/open-database.ts'
import { pruneManifests } from '#server/db/images/image-queries.ts'
import { listVersions } from '#server/db/images/image-versions.ts'
import { describeOnEveryDatabase, openFreshDatabase } from '#test/support/database.ts'

const MIGRATIONS = join(import.meta.dirname, '../../../migrations')
const DIGEST = 'a'.repeat(64)
const NOW = new Date('2026-05-01T12:00:00.000Z')

/** Of the release before images had versions. */
const BEFORE_VERSIONS = 6
const WITH_AN_IMAGE = `
  insert into manifests (digest, bytes, size_bytes, sector_bytes, stored_bytes, content_bytes, export_bytes, layout_hash)
    values ('${DIGEST}', '', 1024, 512, 10, 10, 100, '${DIGEST}');
  insert into images (name, digest, info, description, created_at)
    values ('debian', '${DIGEST}', '{"operatingSystem":"Debian","fileName":"debian.img"}', 'old', '2026-01-01T00:00:00Z');
  insert into machines (mac, name, image) values ('52:54:00:00:00:01', 'rack3', 'debian');
`

/** A folder with only the first migrations in it. */
async function firstMigrations(folder: string, count: number): Promise<string> {
  await cp(MIGRATIONS, folder, { recursive: true })
  const path = join(folder, 'meta/_journal.json')
  const journal = JSON.parse(await readFile(path, 'utf8')) as { entries: unknown[] }
  const entries = journal.entries.slice(0, count)
  await writeFile(path, JSON.stringify({ ...journal, entries }))
  return folder
}

async function fillOld(config: DatabaseConfig, migrationsFolder: string, rows: string) {
  switch (config.kind) {
    case 'embedded': {
      const client = await PGlite.create(config.folder)
      await migratePglite(drizzlePglite(client), { migrationsFolder })
      await client.exec(rows)
      await client.close()
      return
    }
    case 'postgres': {
      const client = new pg.Client({ connectionString: config.url })
      await client.connect()
      await client.query('drop schema public cascade; drop schema drizzle cascade')
      await client.query('create schema public')
      await migratePostgres(drizzlePostgres(client), { migrationsFolder })
      await client.query(rows)
      await client.end()
    }
  }
}

describeOnEveryDatabase('a database of an older release', (_open, kind) => {
  it('gets its images as first versions, and nothing of them is swept', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-upgrade-'))
    const migrations = await firstMigrations(join(folder.path, 'migrations'), BEFORE_VERSIONS)
    await using fresh = await openFreshDatabase(kind)
    const config: DatabaseConfig =
      fresh.config.kind === 'embedded'
        ? { kind: 'embedded', folder: join(folder.path, 'database') }
        : fresh.config
    await fillOld(config, migrations, WITH_AN_IMAGE)
    await using database = await openDatabase(config)
    await pruneManifests(database.db, [], NOW)
    assert.partialDeepStrictEqual(await listVersions(database.db, 'debian', NOW), [
      {
        version: 1,
        digest: DIGEST,
        fileName: 'debian.img',
        info: { operatingSystem: 'Debian' },
        isPromoted: true,
        createdAt: '2026-01-01T00:00:00.000Z',
        createdBy: null,
      },
    ])
  })
})

describeOnEveryDatabase('a database of a newer release', (_open, kind) => {
  it('is refused as it is: what this one does not know would be garbage to it', async () => {
    await using fresh = await openFreshDatabase(kind)
    {
      await using database = await openDatabase(fresh.config)
      await database.db.execute(sql`create table of_the_future (what text)`)
      await database.db.execute(
        sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('f', 9999999999999)`,
      )
    }
    await assert.rejects(
      openDatabase(fresh.config),
      (err) =>
        err instanceof DatabaseOpenError &&
        /newer release of Stampede \(1 migration is not known/.test(err.message),
    )
  })
})

it('a Postgres whose user does not own it, as after a restore, is refused in a sentence', async () => {
  await using fresh = await openFreshDatabase('postgres')
  assert.ok(fresh.config.kind === 'postgres')
  const client = new pg.Client({ connectionString: fresh.config.url })
  await client.connect()
  await client.query('create role guest login')
  const url = fresh.config.url.replace('postgres@', 'guest@')
  try {
    await assert.rejects(
      openDatabase({ kind: 'postgres', url }),
      (err) =>
        err instanceof DatabaseOpenError &&
        /up to date and are as they were \(permission denied .*\); make sure/.test(err.message),
    )
  } finally {
    await client.query('drop role guest')
    await client.end()
  }
})
