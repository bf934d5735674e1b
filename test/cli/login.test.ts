import assert from 'node:assert/strict'
import { chmod, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { ApiToken } from '#protocol/account.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { createShell, type Shell } from './stampede.ts'

const PASSWORD = 'a sentence that nobody guesses'

describe('stampede login', () => {
  let app: TestApp
  let server: string
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true })
    server = `http://127.0.0.1:${app.port}`
  })
  after(() => app[Symbol.asyncDispose]())
  beforeEach(async (context) => {
    const opened = createShell(app.port)
    shell = opened
    if ('after' in context) context.after(() => opened[Symbol.dispose]())
  })
  const configFile = () => join(shell.home, '.config/stampede/config.json')
  const login = (input: string) =>
    shell.run(['login', server, '--user', 'maria', '--password-stdin'], { signedOut: true, input })

  it('makes the first account of a server that has none, at a terminal', async () => {
    const terminal = shell.startOnTerminal(['login', server], { signedOut: true })
    await terminal.waitFor('Admin token: ')
    terminal.write(`${ADMIN_TOKEN}\n`)
    await terminal.waitFor('Name of the first account: ')
    terminal.write('maria\n')
    await terminal.waitFor('New password: ')
    terminal.write(`${PASSWORD}\n`)
    await terminal.waitFor('Once more: ')
    terminal.write(`${PASSWORD}\n`)
    assert.equal((await terminal.ended).code, 0, terminal.output())
    assert.match(terminal.output(), /Signed in at .* as maria, for 90 days/)
    assert.doesNotMatch(terminal.output(), new RegExp(`${PASSWORD}|${ADMIN_TOKEN}`))
  })

  it('asks for name and password without showing it, and keeps a token for its owner only', async () => {
    const terminal = shell.startOnTerminal(['login', server], { signedOut: true })
    await terminal.waitFor('Name: ')
    terminal.write('maria\n')
    await terminal.waitFor('Password: ')
    terminal.write(`${PASSWORD}\n`)
    assert.equal((await terminal.ended).code, 0, terminal.output())
    assert.doesNotMatch(terminal.output(), /nobody guesses/)
    assert.equal((await stat(configFile())).mode & 0o777, 0o600)
    const stored = await readFile(configFile(), 'utf8')
    assert.match(stored, /"token": "stp_/)
    assert.doesNotMatch(stored, /nobody guesses/)
    const { stdout } = await shell.run(['whoami', '--json'], { signedOut: true })
    assert.partialDeepStrictEqual(JSON.parse(stdout), {
      user: { name: 'maria', role: 'admin' },
      via: 'token',
    })
  })

  it('refuses a wrong password with the code for it, and stores nothing', async () => {
    const { code, stderr } = await login('something else entirely\n')
    assert.equal(code, 4, stderr)
    assert.match(stderr, /^Error: [A-Z]/m)
    await assert.rejects(stat(configFile()), { code: 'ENOENT' })
  })

  it('says what to use where nobody can be asked', async () => {
    const { code, stderr } = await shell.run(['login', server], { signedOut: true })
    assert.equal(code, 2)
    assert.match(stderr, /--password-stdin/)
  })

  it('refuses a file of tokens that others may read', async () => {
    assert.equal((await login(`${PASSWORD}\n`)).code, 0)
    await chmod(configFile(), 0o644)
    const { code, stderr } = await shell.run(['machines', 'ls'], { signedOut: true })
    assert.equal(code, 4)
    assert.match(stderr, /can be read or changed by others \(mode 644\)/)
  })

  it('sends the token of one server to no other', async () => {
    assert.equal((await login(`${PASSWORD}\n`)).code, 0)
    await using other = await openTestApp({ realTime: true })
    const named = ['--server', `http://127.0.0.1:${other.port}`]
    const { code, stderr } = await shell.run(['machines', 'ls', ...named], { signedOut: true })
    assert.equal(code, 4)
    assert.match(stderr, /Nobody is signed in at/)
  })

  it('revokes the token at logout', async () => {
    assert.equal((await login(`${PASSWORD}\n`)).code, 0)
    const { token } = Object.values(
      (
        JSON.parse(await readFile(configFile(), 'utf8')) as {
          logins: Record<string, { token: string }>
        }
      ).logins,
    )[0]!
    const listed = await app.call<{ items: ApiToken[] }>('GET', '/api/tokens', undefined, { token })
    assert.equal(listed.status, 200)
    assert.equal((await shell.run(['logout'], { signedOut: true })).code, 0)
    assert.equal((await app.call('GET', '/api/tokens', undefined, { token })).status, 401)
    assert.equal((await shell.run(['whoami'], { signedOut: true })).code, 4)
  })

  it('takes a token from the environment, and checks that it is one', async () => {
    const right = { signedOut: true, env: { STAMPEDE_TOKEN: ADMIN_TOKEN } }
    assert.equal((await shell.run(['login', server], right)).code, 0)
    assert.equal((await shell.run(['machines', 'ls'], { signedOut: true })).code, 0)
    const wrong = { signedOut: true, env: { STAMPEDE_TOKEN: 'stp_nothing' } }
    assert.equal((await shell.run(['login', server], wrong)).code, 4)
  })

  it('keeps nothing where the question is left by Ctrl+C', async () => {
    const terminal = shell.startOnTerminal(['login', server], { signedOut: true })
    await terminal.waitFor('Name: ')
    terminal.write('\u0003')
    assert.equal((await terminal.ended).code, 130)
    await assert.rejects(stat(configFile()), { code: 'ENOENT' })
  })
})
