import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { globSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Session } from '#protocol/account.ts'
import { cookieOf, signedIn } from '#test/support/accounts.ts'
import { openEventStream } from '#test/support/event-stream.ts'
import { bootToken, hello, queueRun, readRun } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

describe('secrets', () => {
  it('reach neither the log, nor the database, nor an answer, whatever fails', async () => {
    let log = ''
    const env = { STAMPEDE_TRUST_RELAYED: '1' }
    const secrets = [ADMIN_TOKEN]
    // Kept as it is, since it is worth nothing without the cookie.
    let csrfToken: string
    let folder: string
    {
      await using app = await openTestApp({ env, onLog: (line) => (log += line) })
      folder = app.dataFolder
      const mac = '52:54:00:00:06:01'
      const { id } = await queueRun(app, mac)
      const boot = await bootToken(app, mac)
      const { sessionToken } = (await hello(app, mac, boot)).body
      secrets.push(boot, sessionToken)
      await hello(app, mac, boot) // refused: it was used
      await using stream = await openEventStream(app, 0)
      const accounts = await useAccounts(app)
      secrets.push(...accounts.secrets)
      csrfToken = accounts.csrfToken
      // The last of all: whatever was to be told was told before it.
      await app.call('PUT', `/api/machines/${mac}`, { name: 'the-last' })
      const told = await stream.until(({ data }) => data['name'] === 'the-last')
      const audit = (await app.call('GET', '/api/audit?limit=1000')).body
      const known = JSON.stringify([told, audit])
      for (const secret of [...secrets, csrfToken]) assert.ok(!known.includes(secret), secret)
      for (const token of secrets) {
        await app.call('GET', `/l/${token}/debian.img.gz`, undefined, { token })
        await app.call('POST', `/agent/runs/${id}/result`, { state: token }, { token })
        await app.call('GET', `/api/events/${token}?token=${token}`, undefined, { token })
      }
      const run = JSON.stringify(await readRun(app, id))
      for (const secret of secrets) assert.ok(!run.includes(secret))
      await app.database.flush()
      for (const path of globSync(`${folder}/database/**/*`, { withFileTypes: true })) {
        if (!path.isFile()) continue
        const bytes = await readFile(`${path.parentPath}/${path.name}`)
        for (const secret of secrets) assert.ok(!bytes.includes(secret), path.name)
      }
    }
    assert.ok(log.length > 0)
    for (const secret of [...secrets, csrfToken]) assert.ok(!log.includes(secret), log)
  })
})

const PASSWORDS = ['correct horse battery', 'a second one entirely', 'wrong and then some']

/** Users, sessions and tokens, used rightly and wrongly. Returns all that is secret of them. */
async function useAccounts(app: TestApp): Promise<{ secrets: string[]; csrfToken: string }> {
  const [password, next, wrong] = PASSWORDS as [string, string, string]
  const setup = { adminToken: ADMIN_TOKEN, name: 'maria', password }
  const made = await app.call<Session>('POST', '/api/setup', setup, { token: null })
  const first = signedIn(cookieOf(made.headers)!, made.body.csrfToken!)
  const body = { current: password, password: next }
  const changed = await app.call('PUT', '/api/session/password', body, first.options)
  assert.equal(changed.status, 204)
  const { cookie, csrfToken, options } = signedIn(cookieOf(changed.headers)!, first.csrfToken)
  const { secret } = (
    await app.call<{ secret: string }>('POST', '/api/tokens', { name: 'ci' }, options)
  ).body
  assert.ok(secret)
  const user = { name: 'bob', role: 'viewer', password }
  assert.equal((await app.call('POST', '/api/users', user, { token: secret })).status, 201)
  await app.call('PATCH', '/api/users/bob', { password: next })
  // A password in the field of the name, as it happens.
  for (const name of ['maria', wrong]) {
    const answer = await app.call(
      'POST',
      '/api/session',
      { name, password: wrong },
      { token: null },
    )
    assert.equal(answer.status, 401)
  }
  for (const path of ['/api/nothing', `/api/users/${secret}`, `/api/machines?q=${csrfToken}`])
    await app.call('PUT', path, { secret, password }, options)
  return { secrets: [...PASSWORDS, first.cookie, cookie, secret], csrfToken }
}
