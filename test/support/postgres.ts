import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'

const run = promisify(execFile)

const START_TIMEOUT_MILLISECONDS = 120_000
const STOP_TIMEOUT_MILLISECONDS = 60_000

export interface TestPostgres extends AsyncDisposable {
  url(database: string): string
  /** Runs a statement in the cluster's own database. */
  query(statement: string): Promise<void>
  /** Ends the cluster well and copies it to a folder, from which others can be opened. */
  endAndSave(folder: string): Promise<void>
}

/** Debian keeps the server's programs outside PATH, one folder for each version. */
async function findPostgresPrograms(): Promise<string> {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? await readdir(root) : []
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))[0]
  if (!newest) throw new Error('These tests need a Postgres: apt-get install postgresql')
  return join(root, newest, 'bin')
}

/** Postgres refuses to run as root, so root lends it another user. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const uid = Number((await run('id', ['-u', 'postgres'])).stdout)
  const gid = Number((await run('id', ['-g', 'postgres'])).stdout)
  return { uid, gid }
}

/** Which Postgres `openTestPostgres` starts: others cannot read the files of its clusters. */
export async function testPostgresVersion(): Promise<string> {
  return (await run(join(await findPostgresPrograms(), 'postgres'), ['--version'])).stdout.trim()
}

/**
 * A cluster of its own in a temporary folder, heard on a Unix socket there. It begins empty, or as a
 * copy of one that was saved.
 */
export async function openTestPostgres(saved?: string): Promise<TestPostgres> {
  await using opened = new AsyncDisposableStack()
  const programs = await findPostgresPrograms()
  const user = await unprivilegedUser()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-postgres-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const data = join(folder, 'data')
  if (user) await chown(folder, user.uid, user.gid)
  if (saved) await copyCluster(saved, data)
  else {
    await mkdir(data)
    if (user) await chown(data, user.uid, user.gid)
    await run(
      join(programs, 'initdb'),
      ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
      { ...user, cwd: folder },
    )
  }
  const server = opened.adopt(startServer(programs, data, folder, user), (child) =>
    stopServer(child),
  )
  const url = (database: string) => `postgresql://postgres@localhost/${database}?host=${folder}`
  await waitForServer(url('postgres'), server)

  const resources = opened.move()
  return {
    url,
    query: (statement) => query(url('postgres'), statement),
    async endAndSave(target) {
      await stopServer(server, 'SIGINT') // a fast shutdown, with a checkpoint
      await copyCluster(data, target)
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** With owners, modes and holes. */
async function copyCluster(from: string, to: string): Promise<void> {
  await run('cp', ['--archive', '--no-target-directory', from, to])
}

function startServer(
  programs: string,
  data: string,
  folder: string,
  user: { uid: number; gid: number } | undefined,
): ChildProcess {
  const settings = ['fsync=off', 'listen_addresses=', `unix_socket_directories=${folder}`]
  const identity = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : []
  // SIGINT: a fast shutdown, also when this process dies without one.
  const command = ['--pdeathsig', 'INT', ...identity, join(programs, 'postgres'), '-D', data]
  for (const setting of settings) command.push('-c', setting)
  return spawn('setpriv', command, { stdio: 'ignore', cwd: folder })
}

/** At once by default, since the folder is thrown away. */
async function stopServer(
  server: ChildProcess,
  signal: 'SIGQUIT' | 'SIGINT' = 'SIGQUIT',
): Promise<void> {
  if (server.exitCode !== null) return
  const ended = once(server, 'exit', { signal: AbortSignal.timeout(STOP_TIMEOUT_MILLISECONDS) })
  server.kill(signal)
  await ended
}

async function waitForServer(url: string, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MILLISECONDS
  for (;;) {
    try {
      return await query(url, 'select 1')
    } catch (err) {
      if (server.exitCode !== null || Date.now() > deadline) throw err
      await sleep(50)
    }
  }
}

async function query(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
