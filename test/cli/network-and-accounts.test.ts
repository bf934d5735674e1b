import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ApiToken, AuditEntry, User } from '#protocol/account.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { createShell, type Shell } from './stampede.ts'

describe('stampede leases, reservations, users, tokens, audit and webhooks', () => {
  let app: SeededApp
  let shell: Shell
  before(async () => {
    app = await openSeededApp({ machines: 40 })
    shell = createShell(app.port)
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })
  async function run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await shell.run(args)
    assert.equal(code, 0, stderr)
    return stdout
  }
  const items = async <Item>(path: string) =>
    (await app.call<{ items: Item[] }>('GET', path)).body.items

  it('lists leases, of one machine too', async () => {
    assert.match(await run('leases'), /^ADDRESS +MAC +STATE +HOSTNAME +EXPIRES\n/)
    const lines = (await run('leases', '-m', 'rack1-node02')).trim().split('\n')
    assert.equal(lines.length, 2)
    assert.match(lines[1]!, /52:54:00:00:00:01 +bound/)
  })

  it('sets and gives up reservations', async () => {
    await run('reservations', 'set', '525400ee0001', '10.0.9.9', '--hostname', 'printer')
    assert.match(await run('reservations', 'ls'), /52:54:00:ee:00:01 +10\.0\.9\.9 +printer/)
    const taken = await shell.run(['reservations', 'set', '525400ee0002', '10.0.9.9'])
    assert.equal(taken.code, 6)
    await run('reservations', 'rm', '52:54:00:ee:00:01')
    assert.doesNotMatch(await run('reservations', 'ls'), /10\.0\.9\.9/)
    assert.equal((await shell.run(['reservations', 'rm', '52:54:00:ee:00:01'])).code, 3)
  })

  it('adds, changes and deletes users; the password comes from standard input', async () => {
    const add = ['users', 'add', 'jo', '--role', 'viewer', '--password-stdin']
    assert.equal((await shell.run(add, { input: 'short\n' })).code, 2)
    assert.equal((await shell.run(add, { input: 'a long enough one\n' })).code, 0)
    assert.equal((await shell.run(add, { input: 'a long enough one\n' })).code, 6)
    await run('users', 'set', 'jo', '--role', 'operator', '--disable')
    const [jo] = (await items<User>('/api/users')).filter(({ name }) => name === 'jo')
    assert.partialDeepStrictEqual(jo, { role: 'operator', disabled: true })
    assert.equal((await shell.run(['users', 'rm', 'jo'])).code, 2)
    await run('users', 'rm', 'jo', '--yes')
    assert.ok(!(await items<User>('/api/users')).some(({ name }) => name === 'jo'))
  })

  it('makes a token that may do what it says and no more, and revokes it', async () => {
    const secret = (await run('tokens', 'create', 'ci', '--role', 'viewer', '--days', '7')).trim()
    assert.match(secret, /^stp_\S+$/)
    const env = { STAMPEDE_TOKEN: secret }
    assert.equal((await shell.run(['machines', 'ls'], { env })).code, 0)
    const denied = await shell.run(['machines', 'lock', 'rack1-node03'], { env })
    assert.equal(denied.code, 4)
    const listed = await run('tokens', 'ls')
    assert.match(listed, /^ci +\S+ +\S+ +viewer +all +in 7 d/m)
    assert.ok(!listed.includes(secret))
    await run('tokens', 'revoke', 'ci')
    assert.equal((await shell.run(['machines', 'ls'], { env })).code, 4)
    const [token] = (await items<ApiToken>('/api/tokens')).filter(({ name }) => name === 'ci')
    assert.ok(token === undefined || token.revokedAt !== null)
  })

  it('says so where a token ends sooner than was asked, as the one that made it', async () => {
    const env = { STAMPEDE_TOKEN: (await run('tokens', 'create', 'a-week', '--days', '7')).trim() }
    const create = (...args: string[]) => shell.run(['tokens', 'create', 'inner', ...args], { env })
    assert.doesNotMatch((await create('--days', '6')).stderr, /no longer/)
    for (const args of [['--days', '365'], ['--forever'], []])
      assert.match((await create(...args)).stderr, /good until .*, no longer than the token/)
  })

  it('tells who did what', async () => {
    await run('machines', 'lock', 'rack1-node03')
    const entries = JSON.parse(await run('audit', '-n', '5', '--json')) as { items: AuditEntry[] }
    assert.equal(entries.items.length, 5)
    assert.match(entries.items[0]!.action, /^machine/)
    assert.match(await run('audit', '--from', '2026-01-01'), /^TIME +WHO +WHAT/)
    assert.equal((await shell.run(['audit', '--from', 'yesterday-ish'])).code, 2)
  })

  it('makes, changes and deletes webhooks', async () => {
    const made = JSON.parse(
      await run('webhooks', 'create', 'http://127.0.0.1:4/hook', '--event', 'run', '--json'),
    ) as { id: string }
    assert.match(
      await run('webhooks', 'ls'),
      new RegExp(`${made.id} +http://127\\.0\\.0\\.1:4/hook +run +yes`),
    )
    const test = await shell.run(['webhooks', 'test', made.id])
    assert.equal(test.code, 1)
    assert.match(await run('webhooks', 'deliveries', made.id), /^ID +TYPE +STATE/)
    await run('webhooks', 'set', made.id, '--disable')
    assert.match(await run('webhooks', 'ls'), / no/)
    await run('webhooks', 'rm', made.id, '--yes')
    assert.equal((await shell.run(['webhooks', 'rm', made.id, '--yes'])).code, 3)
  })
})
