import { execFile } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe } from 'node:test'
import { promisify } from 'node:util'
import type { DatabaseConfig, OpenedDatabase } from '#server/db/database.ts'
import { openDatabase } from '#server/db/open-database.ts'
import { openTestPostgres, testPostgresVersion, type TestPostgres } from './postgres.ts'

export const DATABASE_KINDS = ['embedded', 'postgres'] as const
export type DatabaseKind = (typeof DATABASE_KINDS)[number]

export interface TestDatabase extends OpenedDatabase {
  config: DatabaseConfig
}

/** A database of this kind, migrated and empty, until `dispose`. */
export interface FreshDatabase extends AsyncDisposable {
  config: DatabaseConfig
}

const execFileAsync = promisify(execFile)
const ROOT = new URL('../../', import.meta.url).pathname
const CACHE = join(ROOT, 'node_modules/.cache/stampede-test')

/**
 * template1 and template0, of which PGlite makes no database: more than half of the files that each test
 * would copy and remove.
 */
const NEVER_OPENED = ['1', '4']

/** Runs the suite once on PGlite and once on a real Postgres. */
export function describeOnEveryDatabase(
  name: string,
  suite: (openTestDatabase: () => Promise<TestDatabase>, kind: DatabaseKind) => void,
): void {
  for (const kind of DATABASE_KINDS)
    describe(`${name} (${kind})`, () => suite(() => openTestDatabase(kind), kind))
}

export async function openTestDatabase(kind: DatabaseKind = 'embedded'): Promise<TestDatabase> {
  await using opened = new AsyncDisposableStack()
  const fresh = opened.use(await openFreshDatabase(kind))
  const database = opened.use(await openDatabase(fresh.config))
  const resources = opened.move()
  return {
    ...database,
    config: fresh.config,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** Migrated but not opened: for whoever opens it through a program's configuration. */
export async function openFreshDatabase(kind: DatabaseKind): Promise<FreshDatabase> {
  return kind === 'embedded' ? copyEmbedded() : copyPostgres()
}

async function copyEmbedded(): Promise<FreshDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'stampede-pglite-'))
  await copyFolder(await embeddedTemplate(), folder)
  return {
    config: { kind: 'embedded', folder },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

/** An embedded database, migrated and empty, as the data folder of a server has it. */
export async function putEmbeddedDatabase(dataFolder: string): Promise<void> {
  await mkdir(dataFolder, { recursive: true })
  await copyFolder(await embeddedTemplate(), join(dataFolder, 'database'))
}

/** Hundreds of files: `cp` of Node takes half a second for them. */
async function copyFolder(from: string, to: string): Promise<void> {
  await execFileAsync('cp', ['--recursive', '--no-target-directory', from, to])
}

/** Creating a PGlite takes seconds, so it is done once for each state of the migrations. */
async function embeddedTemplate(): Promise<string> {
  const template = join(CACHE, `embedded-${await migrationsHash()}`)
  if (existsSync(template)) return template
  await mkdir(CACHE, { recursive: true })
  const unfinished = await mkdtemp(`${template}-`)
  const database = await openDatabase({ kind: 'embedded', folder: unfinished })
  await database[Symbol.asyncDispose]()
  for (const oid of NEVER_OPENED)
    await rm(join(unfinished, 'base', oid), { recursive: true, force: true })
  // Another test process may have been faster; its template is as good.
  await rename(unfinished, template).catch(() => rm(unfinished, { recursive: true }))
  return template
}

async function migrationsHash(): Promise<string> {
  const folder = join(ROOT, 'migrations')
  const hash = createHash('sha256')
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.sql')).toSorted())
    hash.update(await readFile(join(folder, name)))
  const journal = await readFile(join(folder, 'meta/_journal.json'))
  const version = await readFile(join(ROOT, 'node_modules/@electric-sql/pglite/package.json'))
  return hash.update(journal).update(version).digest('hex').slice(0, 16)
}

let postgres: Promise<TestPostgres> | undefined
/** For whoever uses it outside of tests; these stop it by themselves. */
export async function closeTestPostgres(): Promise<void> {
  const cluster = await postgres
  postgres = undefined
  await cluster?.[Symbol.asyncDispose]()
}
// Here, not where it starts: within a test it would end with that test. A program that only borrows from the tests
// would become one by this, and every promise of it would be watched.
if (/\.(test|e2e|full)\.ts$/.test(process.argv[1] ?? '')) after(closeTestPostgres)

async function copyPostgres(): Promise<FreshDatabase> {
  postgres ??= openPostgresWithTemplate()
  const cluster = await postgres
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await cluster.query(`create database ${name} template template_stampede`)
  return {
    config: { kind: 'postgres', url: cluster.url(name) },
    [Symbol.asyncDispose]: () => cluster.query(`drop database ${name} with (force)`),
  }
}

/** Making a cluster and its tables takes two seconds, so it too is done once for each state. */
async function openPostgresWithTemplate(): Promise<TestPostgres> {
  const key = createHash('sha256').update(await migrationsHash())
  key.update(await testPostgresVersion()).update(String(process.getuid?.()))
  const saved = join(CACHE, `postgres-${key.digest('hex').slice(0, 16)}`)
  if (!existsSync(saved)) await savePostgres(saved)
  return openTestPostgres(saved)
}

async function savePostgres(saved: string): Promise<void> {
  await using cluster = await openTestPostgres()
  await cluster.query('create database template_stampede')
  const url = cluster.url('template_stampede')
  const database = await openDatabase({ kind: 'postgres', url })
  await database[Symbol.asyncDispose]()
  await mkdir(CACHE, { recursive: true })
  const unfinished = await mkdtemp(`${saved}-`)
  await rm(unfinished, { recursive: true })
  await cluster.endAndSave(unfinished)
  // Another test process may have been faster; its copy is as good.
  await rename(unfinished, saved).catch(() => rm(unfinished, { recursive: true }))
}
