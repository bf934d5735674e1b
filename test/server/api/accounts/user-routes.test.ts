import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { User } from '#protocol/account.ts'
import { addUser, makeUser, PASSWORD } from '#test/support/accounts.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp } from '#test/support/test-app.ts'

type List = { items: User[]; next: string | null }
type Refusal = { error: { code: string } }

describeOnEveryDatabase('users', (_open, database) => {
  it('are made, listed, changed and deleted, and never shown with their password', async () => {
    await using app = await openTestApp({ database })
    const made = await makeUser(app, 'maria', 'viewer')
    assert.partialDeepStrictEqual(made, { name: 'maria', role: 'viewer', disabled: false })
    await addUser(app, 'admin', 'alice')
    const first = (await app.call<List>('GET', '/api/users?limit=1')).body
    assert.deepEqual([first.items[0]!.name, first.next], ['alice', 'alice'])
    const rest = (await app.call<List>('GET', `/api/users?after=${first.next}`)).body
    assert.deepEqual([rest.items.map(({ name }) => name), rest.next], [['maria'], null])
    const changed = await app.call<User>('PATCH', '/api/users/maria', { role: 'operator' })
    assert.equal(changed.body.role, 'operator')
    const text = JSON.stringify((await app.call('GET', '/api/users/maria')).body)
    assert.ok(!/passw|argon/i.test(text), text)
    assert.equal((await app.call('DELETE', '/api/users/maria')).status, 204)
    assert.equal((await app.call('GET', '/api/users/maria')).status, 404)
  })

  it('the last admin that can sign in stays, whoever asks, even two at once', async () => {
    await using app = await openTestApp({ database })
    await addUser(app, 'admin', 'alice')
    await addUser(app, 'operator', 'bob')
    const refusals = [
      app.call<Refusal>('DELETE', '/api/users/alice'),
      app.call<Refusal>('PATCH', '/api/users/alice', { role: 'operator' }),
      app.call<Refusal>('PATCH', '/api/users/alice', { disabled: true }),
    ]
    for (const { status, body } of await Promise.all(refusals))
      assert.deepEqual([status, body.error.code], [409, 'last-admin'])
    await app.call('PATCH', '/api/users/bob', { role: 'admin' })
    const race = await Promise.all([
      app.call('DELETE', '/api/users/alice'),
      app.call('PATCH', '/api/users/bob', { disabled: true }),
    ])
    assert.equal(race.filter(({ status }) => status < 300).length, 1)
  })

  it('what makes no sense is refused', async () => {
    await using app = await openTestApp({ database })
    for (const body of [
      { name: 'a/b', role: 'viewer', password: PASSWORD },
      { name: 'maria', role: 'root', password: PASSWORD },
      { name: 'maria', role: 'viewer', password: 'short' },
      { name: 'maria', role: 'viewer', password: 'x'.repeat(257) },
      { name: 'maria', role: 'viewer' },
    ])
      assert.equal((await app.call('POST', '/api/users', body)).status, 400, JSON.stringify(body))
    assert.equal((await app.call('PATCH', '/api/users/nobody', { disabled: true })).status, 404)
  })
})
