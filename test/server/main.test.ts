import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { putEmbeddedDatabase } from '#test/support/database.ts'

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname
const DEADLINE_MILLISECONDS = 60_000
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
    env: { PATH: process.env['PATH'], ...env },
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
      await closed
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
})
