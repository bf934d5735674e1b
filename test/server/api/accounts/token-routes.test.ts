import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { ApiToken } from '#protocol/account.ts'
import { apiTokens } from '#server/db/schema.ts'
import { addSession, addToken, addUser } from '#test/support/accounts.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type Created = { token: ApiToken; secret: string; error?: { code: string } }
const DAY_SECONDS = 24 * 3600

describe('API tokens', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp()
  })
  after(() => app[Symbol.asyncDispose]())

  const create = (token: string, body: object) =>
    app.call<Created>('POST', '/api/tokens', { name: 'ci', ...body }, { token })
  const list = async (token: string) =>
    (await app.call<{ items: ApiToken[] }>('GET', '/api/tokens', undefined, { token })).body.items
  const statusOf = async (token: string) =>
    (await app.call('GET', '/api/machines', undefined, { token })).status

  it('a token is shown once, and lies in the database as a hash', async () => {
    const user = await addUser(app, 'operator')
    const { options } = await addSession(app, user.id)
    const { status, body, headers } = await app.call<Created>(
      'POST',
      '/api/tokens',
      { name: 'ci' },
      options,
    )
    assert.equal(status, 201)
    assert.match(body.secret, /^stp_[\w-]{43}$/)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.partialDeepStrictEqual(body.token, { owner: user.name, role: 'operator', scopes: null })
    const days = (Date.parse(body.token.expiresAt!) - app.clock.now().getTime()) / 1000
    assert.equal(days, 90 * DAY_SECONDS)
    assert.equal(await statusOf(body.secret), 200)
    const rows = JSON.stringify(await app.database.db.select().from(apiTokens))
    assert.ok(rows.includes(body.token.id) && !rows.includes(body.secret))
    assert.ok(!JSON.stringify(await list(body.secret)).includes(body.secret))
  })

  it('nobody makes a token that may more than they, or lasts longer than the one they use', async () => {
    const expiresAt = new Date(app.clock.now().getTime() + 10 * DAY_SECONDS * 1000)
    const scopes = ['accounts', 'runs'] as const
    const user = await addUser(app, 'admin')
    const fields = { role: 'operator', userId: user.id, scopes: [...scopes], expiresAt } as const
    const { secret } = await addToken(app, { ...fields, scopes: [...scopes] })
    assert.equal((await create(secret, { role: 'admin' })).status, 403)
    for (const more of [null, ['accounts', 'machines']])
      assert.equal((await create(secret, { scopes: more })).body.error?.code, 'scope')
    const { token } = (await create(secret, { expiresInDays: null })).body
    assert.partialDeepStrictEqual(token, { role: 'operator', scopes, owner: user.name })
    assert.equal(token.expiresAt, expiresAt.toISOString())
    const less = await create(secret, { role: 'viewer', scopes: ['runs'], expiresInDays: 1 })
    assert.partialDeepStrictEqual(less.body.token, { role: 'viewer', scopes: ['runs'] })
    assert.ok(Date.parse(less.body.token.expiresAt!) < expiresAt.getTime())
  })

  it('a token ends at its time, when it is revoked, and with its owner', async () => {
    const user = await addUser(app, 'admin', 'owner')
    const { options } = await addSession(app, user.id)
    const make = async (body: object) =>
      (await app.call<Created>('POST', '/api/tokens', { name: 'x', ...body }, options)).body
    const short = await make({ expiresInDays: 1 })
    const kept = await make({ expiresInDays: null })
    const revoked = await make({})
    assert.equal(kept.token.expiresAt, null)
    const path = `/api/tokens/${revoked.token.id}`
    assert.equal(await statusOf(revoked.secret), 200)
    assert.equal((await app.call('DELETE', path, undefined, options)).status, 204)
    assert.equal((await app.call('DELETE', path)).status, 204) // twice is no error
    assert.equal(await statusOf(revoked.secret), 401)
    app.clock.advance(DAY_SECONDS)
    assert.equal(await statusOf(short.secret), 401)
    assert.equal(await statusOf(kept.secret), 200)
    await app.call('PATCH', '/api/users/owner', { role: 'viewer' })
    assert.equal(
      (await app.call('GET', '/api/users', undefined, { token: kept.secret })).status,
      403,
    )
    await app.call('PATCH', '/api/users/owner', { disabled: true })
    assert.equal(await statusOf(kept.secret), 401)
    await app.call('PATCH', '/api/users/owner', { disabled: false })
    assert.equal(await statusOf(kept.secret), 200)
    assert.equal((await app.call('DELETE', '/api/users/owner')).status, 204)
    assert.equal(await statusOf(kept.secret), 401)
  })

  it('everybody sees and revokes their own, admins all', async () => {
    const [maria, bob] = [await addUser(app, 'viewer'), await addUser(app, 'viewer')]
    const hers = await addToken(app, { role: 'viewer', userId: maria.id })
    const his = await addToken(app, { role: 'viewer', userId: bob.id })
    const stray = await addToken(app, { role: 'viewer' })
    const other = await addToken(app, { role: 'admin' })
    assert.deepEqual(
      (await list(hers.secret)).map(({ id }) => id),
      [hers.id],
    )
    const revoke = async (id: string, token: string) =>
      (await app.call('DELETE', `/api/tokens/${id}`, undefined, { token })).status
    assert.equal(await revoke(his.id, hers.secret), 404)
    assert.equal(await revoke(hers.id, stray.secret), 404)
    assert.equal(await revoke(other.id, stray.secret), 404)
    assert.ok(!(await list(stray.secret)).some(({ id }) => [hers.id, his.id].includes(id)))
    const all = (await list(other.secret)).map(({ id }) => id)
    for (const { id } of [hers, his, stray, other]) assert.ok(all.includes(id))
    assert.equal(await revoke(stray.id, stray.secret), 204)
    assert.equal(await revoke(his.id, other.secret), 204)
  })

  it('its last use is known to the minute, and not written more often', async () => {
    const { id, secret } = await addToken(app, { role: 'viewer' })
    const lastUse = async () => {
      const rows = await app.database.db.select().from(apiTokens)
      return rows.find((row) => row.id === id)?.lastUsedAt?.toISOString()
    }
    const first = app.clock.now().toISOString()
    await statusOf(secret)
    app.clock.advance(59)
    await statusOf(secret)
    assert.equal(await lastUse(), first)
    app.clock.advance(1)
    await statusOf(secret)
    assert.equal(await lastUse(), app.clock.now().toISOString())
  })
})
