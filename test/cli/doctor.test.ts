import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { createServer as createHttpServer } from 'node:http'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { createShell, type Outcome, type Shell } from './stampede.ts'

interface Answer {
  ok: boolean
  checks: { name: string; ok: boolean; message: string }[]
  system: { version: string } | null
}

describe('stampede doctor', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true })
    shell = createShell(app.port)
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })
  const checkOf = ({ stdout }: Outcome, name: string) =>
    (JSON.parse(stdout) as Answer).checks.find((check) => check.name === name)

  it('tells what the command and what the server finds', async () => {
    const outcome = await shell.run(['doctor', '--json'])
    const { checks, system, ok } = JSON.parse(outcome.stdout) as Answer
    for (const name of [
      'server',
      'clocks',
      'account',
      'version',
      'store',
      'database',
      'boot-files',
    ])
      assert.ok(
        checks.some((check) => check.name === name),
        name,
      )
    assert.equal(system?.version, '0.1.0')
    assert.equal(outcome.code, ok ? 0 : 1)
    const { stdout } = await shell.run(['doctor'])
    assert.match(stdout, /^ok {4}server +http:\/\/127\.0\.0\.1:\d+ answers in \d+ ms$/m)
  })

  it('tells a token that opens nothing from a server that is away', async () => {
    const env = { STAMPEDE_TOKEN: 'stp_wrong' }
    const wrong = await shell.run(['doctor', '--json'], { env })
    assert.equal(wrong.code, 4)
    assert.equal(checkOf(wrong, 'server')?.ok, true)
    assert.equal(checkOf(wrong, 'account')?.ok, false)
  })

  it('notices a server whose clock is wrong', async () => {
    const server = createHttpServer((_request, response) => {
      response.setHeader('date', new Date(Date.now() + 3_600_000).toUTCString())
      response.end('{}')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${port}` }
    const outcome = await shell.run(['doctor', '--json'], { env })
    server.close()
    server.closeAllConnections()
    assert.match(
      checkOf(outcome, 'clocks')!.message,
      /The server is 3[56]\d\d s ahead of this computer/,
    )
  })

  it('looks at what a server would need where none runs on this computer', async () => {
    const holder = createServer().listen(0, '0.0.0.0')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const env = { STAMPEDE_HTTP: `0.0.0.0:${port}`, STAMPEDE_DATA: '/proc/nothing' }
    const outcome = await shell.run(['doctor', '--local', '--json'], { env })
    holder.close()
    assert.equal(outcome.code, 1)
    assert.match(checkOf(outcome, `TCP port ${port}`)!.message, /Another program has it/)
    assert.equal(checkOf(outcome, 'data folder')?.ok, false)
    assert.ok(checkOf(outcome, 'interfaces'))
    const empty = await shell.run(['doctor', '--local', '--json'], { env: { STAMPEDE_DATA: '' } })
    assert.match(checkOf(empty, 'data folder')!.message, new RegExp(`^${shell.home}/data `))
  })

  it('says so when nothing answers', async () => {
    const env = { STAMPEDE_SERVER: 'http://127.0.0.1:4' }
    const outcome = await shell.run(['doctor', '--json'], { env })
    assert.equal(outcome.code, 5)
    assert.equal(checkOf(outcome, 'server')?.ok, false)
    assert.ok(checkOf(outcome, 'UDP port 67'))
  })
})
