import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sql } from 'drizzle-orm'
import { openDatabase } from '#server/db/open-database.ts'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openSmallDisk } from '#test/support/small-disk.ts'

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname
const DEADLINE_MILLISECONDS = 60_000
const DISK_MIB = 160
/** Less than a file of the database's log takes. */
const LEFT_BYTES = 8 * 1024 ** 2
const LOG_FILE_BYTES = 16 * 1024 ** 2
/** What starting writes, and some machines. */
const LOG_LEFT_BYTES = 512 * 1024
const MAX_WRITES = 1000
const HEADERS = { authorization: 'Bearer token-of-the-tests', 'content-type': 'application/json' }
const OFF = { STAMPEDE_DHCP: 'off', STAMPEDE_HTTP: '127.0.0.1:0' }

interface Program extends AsyncDisposable {
  child: ChildProcess
  /** All it printed so far. */
  output: () => string
  /** The exit code, and null if a signal ended it. */
  exit: () => Promise<number | null>
  /** Waits until it printed this. */
  until: (pattern: RegExp) => Promise<RegExpExecArray>
}

function start(env: Record<string, string>): Program {
  const child = spawn(process.execPath, [MAIN], {
    env: cleanEnvironment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      child.emit('output')
    })
  const closed = once(child, 'close')
  return {
    child,
    output: () => output,
    async exit() {
      await Promise.race([closed, once(AbortSignal.timeout(DEADLINE_MILLISECONDS), 'abort')])
      assert.ok(child.exitCode !== null || child.signalCode !== null, `It goes on:\n${output}`)
      return child.exitCode
    },
    async until(pattern) {
      const signal = AbortSignal.timeout(DEADLINE_MILLISECONDS)
      for (;;) {
        const found = pattern.exec(output)
        if (found) return found
        assert.equal(child.exitCode, null, `It ended with:\n${output}`)
        await Promise.race([once(child, 'output', { signal }), closed])
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await closed
    },
  }
}

describe('the program', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stampede-main-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  async function dataFolder(name: string): Promise<string> {
    const path = join(folder, name)
    await putEmbeddedDatabase(path)
    return path
  }

  it('says where it is, makes a token, answers, and stops when asked', async () => {
    const data = await dataFolder('first')
    await using program = start({ ...OFF, STAMPEDE_DATA: data })
    const [, url] = await program.until(/URL +(http:\S+)/)
    const [, token] = await program.until(/Admin token +(\S+) \(shown this once/)
    await program.until(/Boot files/)
    assert.equal((await readFile(join(data, 'admin-token'), 'utf8')).trim(), token)
    assert.equal((await stat(join(data, 'admin-token'))).mode & 0o777, 0o600)
    const headers = { authorization: `Bearer ${token}` }
    assert.equal((await fetch(`${url}/api/machines`, { headers })).status, 200)
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)

    await using again = start({ ...OFF, STAMPEDE_DATA: data })
    await again.until(/Admin token +in \S+admin-token/)
    assert.ok(!again.output().includes(token!))
  })

  it('refuses a data folder that another server uses, and takes it over when that one was killed', async () => {
    const data = await dataFolder('shared')
    await using first = start({ ...OFF, STAMPEDE_DATA: data })
    await first.until(/Stampede is ready/)
    await using second = start({ ...OFF, STAMPEDE_DATA: data })
    assert.equal(await second.exit(), 1)
    assert.match(
      second.output(),
      new RegExp(`in use by another server \\(process ${first.child.pid}\\)`),
    )
    assert.equal(second.output().trim().split('\n').length, 1)
    first.child.kill('SIGKILL')
    await first.exit()
    await using third = start({ ...OFF, STAMPEDE_DATA: data })
    await third.until(/Stampede is ready/)
  })

  it('says which port is taken', async () => {
    const data = await dataFolder('port')
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    await using program = start({
      ...OFF,
      STAMPEDE_DATA: data,
      STAMPEDE_HTTP: `127.0.0.1:${port}`,
    })
    assert.equal(await program.exit(), 1)
    assert.match(
      program.output(),
      new RegExp(`HTTP cannot listen on 127.0.0.1 port ${port}: another program`),
    )
    other.close()
  })

  it('ends with one sentence for a wrong setting', async () => {
    await using program = start({ STAMPEDE_DATA: join(folder, 'none'), STAMPEDE_DHCP: 'maybe' })
    assert.equal(await program.exit(), 1)
    assert.equal(
      program.output(),
      'STAMPEDE_DHCP is "maybe" but must be one of server, proxy, off\n',
    )
    await assert.rejects(stat(join(folder, 'none')))
  })

  it('ends with one sentence where no data folder can be made', async () => {
    for (const data of ['/proc/stampede/data', '/dev/null/data']) {
      await using program = start({ ...OFF, STAMPEDE_DATA: data })
      await program.until(/\n/)
      assert.equal(await program.exit(), 1)
      assert.match(program.output(), /^The data folder ".*" cannot be written \(.*\n$/)
    }
  })

  it('ends with one sentence where no chunk store can be made', async () => {
    const data = await dataFolder('store')
    const env = { ...OFF, STAMPEDE_DATA: data, STAMPEDE_STORE: 'file:/proc/stampede/store' }
    await using program = start(env)
    assert.equal(await program.exit(), 1)
    assert.match(program.output(), /^The chunk store "\/proc\/.*" cannot be written \(.*\n$/)
  })

  it('ends with one sentence when its database does not answer', async () => {
    await using program = start({
      ...OFF,
      STAMPEDE_DATA: join(folder, 'remote'),
      DATABASE_URL: 'postgresql://user:geheim@127.0.0.1:1/stampede',
    })
    assert.equal(await program.exit(), 1)
    assert.match(program.output(), /^Postgres at .*127\.0\.0\.1:1.* does not answer/)
    assert.doesNotMatch(program.output(), /geheim/)
    assert.equal(program.output().trim().split('\n').length, 1)
  })

  it('writes down a bug that nobody catches, and goes on', async () => {
    const bug =
      'process.on("SIGUSR2",()=>{Promise.reject(Error("rejected"));throw(Error("thrown"))})'
    await using program = start({
      ...OFF,
      STAMPEDE_DATA: await dataFolder('bug'),
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}`,
    })
    const [, url] = await program.until(/URL +(http:\S+)/)
    program.child.kill('SIGUSR2')
    for (const what of ['thrown', 'rejected'])
      await program.until(new RegExp(`"message":"${what}","stack":.*Unexpected failure, going on`))
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    program.child.kill('SIGTERM')
    assert.equal(await program.exit(), 0)
  })

  it(
    'ends at once with one sentence when its database panics, and has all that was answered when it is started again',
    { skip: NEEDS_ROOT },
    async () => {
      await using disk = await openSmallDisk(DISK_MIB)
      await putEmbeddedDatabase(disk.path)
      const database = join(disk.path, 'database')
      const current = await useUpLog(database)
      const env = { ...OFF, STAMPEDE_DATA: disk.path, STAMPEDE_ADMIN_TOKEN: 'token-of-the-tests' }
      const saved: string[] = []
      {
        await using program = start(env)
        const [, url] = await program.until(/URL +(http:\S+)/)
        await removeLogAfter(current, database)
        disk.fill(LEFT_BYTES)
        await writeUntilItFails(url!, saved)
        await program.until(/start the server again/)
        assert.equal(await program.exit(), 1)
        const said = program.output().trim().split('\n').at(-1)
        assert.match(
          said!,
          /^The embedded database in ".*" stopped \(.*No space left on device.*\); make sure .* start the server again$/,
        )
      }
      disk.makeRoom()
      await using again = start(env)
      const [, url] = await again.until(/URL +(http:\S+)/)
      assert.ok(saved.length > 0)
      for (const mac of saved)
        assert.equal((await fetch(`${url}/api/machines/${mac}`, { headers: HEADERS })).status, 200)
    },
  )
})

/** The next file of the log is needed soon. Returns the name of this one. */
async function useUpLog(folder: string): Promise<string> {
  await using database = await openDatabase({ kind: 'embedded', folder })
  const answer = await database.db.execute(
    sql`select mod(pg_current_wal_insert_lsn() - '0/0', ${LOG_FILE_BYTES})::int as used,
      pg_walfile_name(pg_current_wal_insert_lsn()) as file`,
  )
  const [{ used, file }] = (answer as unknown as { rows: [{ used: number; file: string }] }).rows
  const bytes = LOG_FILE_BYTES - used - LOG_LEFT_BYTES
  await database.db.execute(sql`select pg_logical_emit_message(false, '', repeat('x', ${bytes}))`)
  return file
}

/** Those that Postgres makes in advance when it starts and stops. */
async function removeLogAfter(current: string, folder: string): Promise<void> {
  const files = await readdir(join(folder, 'pg_wal'))
  for (const file of files.filter((name) => /^[0-9A-F]{24}$/.test(name) && name > current))
    await rm(join(folder, 'pg_wal', file))
}

/** Machines, one after the other, until the server is gone. */
async function writeUntilItFails(url: string, saved: string[]): Promise<void> {
  for (let count = 0; count < MAX_WRITES; count++) {
    const mac = `52:54:00:00:${(count >> 8).toString(16).padStart(2, '0')}:${(count & 255).toString(16).padStart(2, '0')}`
    const signal = AbortSignal.timeout(DEADLINE_MILLISECONDS)
    const call = { method: 'PUT', headers: HEADERS, body: '{}', signal }
    const answer = await fetch(`${url}/api/machines/${mac}`, call).catch(() => undefined)
    if (!answer?.ok) return
    saved.push(mac)
  }
  assert.fail(`The log of the database did not grow by ${MAX_WRITES} writes`)
}
