import assert from 'node:assert/strict'
import { after, before, beforeEach, it } from 'node:test'
import { eq } from 'drizzle-orm'
import type { Session } from '#protocol/account.ts'
import { users, webSessions } from '#server/db/schema.ts'
import { SESSION_IDLE_SECONDS, SESSION_MAX_SECONDS } from '#server/db/accounts/web-sessions.ts'
import {
  addPerson,
  addSession,
  addUser,
  cookieOf,
  makeUser,
  PASSWORD,
  signedIn,
  signIn,
} from '#test/support/accounts.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openEventStream } from '#test/support/event-stream.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const LONGEST_LIMIT_SECONDS = 15 * 60

type Refusal = { error: { code: string; message: string } }

function logIn(app: TestApp, name: string, password: string, headers = {}) {
  return app.call<Session & Refusal>(
    'POST',
    '/api/session',
    { name, password },
    { token: null, headers },
  )
}

async function statusOf(app: TestApp, options: { token: null; headers: Record<string, string> }) {
  return (await app.call('GET', '/api/session', undefined, options)).status
}

describeOnEveryDatabase('sessions', (_open, database) => {
  /** With people of their own for each test. */
  let app: TestApp
  before(async () => (app = await openTestApp({ database })))
  after(() => app[Symbol.asyncDispose]())
  // What others guessed from this address is forgotten.
  beforeEach(() => app.clock.advance(LONGEST_LIMIT_SECONDS))

  it('the first user is made with the admin token, once, and is signed in', async () => {
    await using app = await openTestApp({ database })
    const setup = (fields: object) => {
      const body = { adminToken: ADMIN_TOKEN, name: 'maria', password: PASSWORD, ...fields }
      return app.call<Session & Refusal>('POST', '/api/setup', body, { token: null })
    }
    const needs = () => app.call('GET', '/api/setup', undefined, { token: null })
    assert.deepEqual((await needs()).body, { needsSetup: true })
    const wrong = await setup({ adminToken: 'guessed' })
    assert.deepEqual([wrong.status, wrong.body.error.code], [401, 'wrong-admin-token'])
    assert.equal((await setup({ password: 'short' })).status, 400)
    const made = await Promise.all([setup({}), setup({ name: 'eve' }), setup({ name: 'mallory' })])
    assert.deepEqual(
      made.map(({ status }) => status).toSorted((a, b) => a - b),
      [201, 409, 409],
    )
    const first = made.find(({ status }) => status === 201)!
    assert.equal(first.body.user.role, 'admin')
    const { options } = signedIn(cookieOf(first.headers)!, first.body.csrfToken!)
    assert.equal(await statusOf(app, options), 200)
    assert.deepEqual((await needs()).body, { needsSetup: false })
    assert.equal((await setup({ name: 'another' })).status, 409)
  })

  it('a cookie is for HTTP only, this site only, and Secure only where that works', async () => {
    await addPerson(app, 'anna')
    const plain = await logIn(app, 'anna', PASSWORD)
    assert.match(
      plain.headers.get('set-cookie')!,
      /^stampede_session=[\w-]{43}; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict$/,
    )
    const proxied = await logIn(app, 'anna', PASSWORD, { 'x-forwarded-proto': 'https' })
    assert.match(proxied.headers.get('set-cookie')!, /; Secure/)
  })

  it('passwords lie in the database as argon2id, cookies as hashes', async () => {
    await makeUser(app, 'berta', 'viewer')
    const { cookie } = await signIn(app, 'berta')
    const [user] = await app.database.db.select().from(users).where(eq(users.name, 'berta'))
    assert.match(user!.passwordHash, /^\$argon2id\$v=19\$m=65536,t=3,p=4\$[\w+/]{22}\$[\w+/]{43}$/)
    assert.ok(!JSON.stringify(await app.database.db.select().from(webSessions)).includes(cookie))
  })

  it('signing in gives a new session and ends the one that the browser had', async () => {
    await addPerson(app, 'carla')
    const planted = 'A'.repeat(43)
    const headers = { cookie: `stampede_session=${planted}` }
    const first = cookieOf((await logIn(app, 'carla', PASSWORD, headers)).headers)!
    assert.notEqual(first, planted)
    const second = await logIn(app, 'carla', PASSWORD, { cookie: `stampede_session=${first}` })
    assert.equal(await statusOf(app, signedIn(planted, '').options), 401)
    assert.equal(await statusOf(app, signedIn(first, '').options), 401)
    assert.equal(await statusOf(app, signedIn(cookieOf(second.headers)!, '').options), 200)
  })

  it('nothing tells an unknown name, a wrong password and a disabled user apart', async () => {
    await addPerson(app, 'dora')
    await addPerson(app, 'gone')
    await app.call('PATCH', '/api/users/gone', { disabled: true })
    const answers = [
      await logIn(app, 'nobody', PASSWORD),
      await logIn(app, 'dora', `${PASSWORD}x`),
      await logIn(app, 'gone', PASSWORD),
    ]
    for (const answer of answers) {
      assert.equal(answer.status, 401)
      assert.deepEqual(answer.body, answers[0]!.body)
      assert.equal(answer.headers.get('set-cookie'), null)
    }
  })

  it('a name is the same in upper and lower case', async () => {
    await addPerson(app, 'Emma')
    assert.equal((await logIn(app, 'eMMA', PASSWORD)).body.user.name, 'Emma')
    const body = { name: 'emma', role: 'admin', password: PASSWORD }
    assert.equal((await app.call('POST', '/api/users', body)).status, 409)
  })

  it('who guesses is slowed down, others are not, and time heals it', async () => {
    await addPerson(app, 'frida')
    await addPerson(app, 'bob')
    const statuses = []
    for (let attempt = 0; attempt < 10; attempt += 1)
      statuses.push((await logIn(app, 'frida', `wrong ${attempt}`)).status)
    assert.deepEqual(statuses, [...Array<number>(8).fill(401), 429, 429])
    const refused = await logIn(app, 'FRIDA', PASSWORD) // the right one, now as useless
    assert.deepEqual([refused.status, refused.body.error.code], [429, 'too-many-attempts'])
    assert.equal(refused.headers.get('retry-after'), '300')
    assert.equal((await logIn(app, 'bob', PASSWORD)).status, 200)
    app.clock.advance(301)
    assert.equal((await logIn(app, 'frida', PASSWORD)).status, 200)
  })

  it('attempts at once are all counted', async () => {
    await addPerson(app, 'greta')
    const guesses = Array.from({ length: 20 }, (_, index) => logIn(app, 'greta', `wrong ${index}`))
    const statuses = (await Promise.all(guesses)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 401).length, 8)
  })

  it('a session ends when nobody uses it, and in any case', async () => {
    const user = await addUser(app, 'viewer')
    const idle = await addSession(app, user.id)
    const busy = await addSession(app, user.id)
    const step = SESSION_IDLE_SECONDS - 60
    app.clock.advance(step)
    assert.equal(await statusOf(app, busy.options), 200)
    app.clock.advance(120)
    assert.equal(await statusOf(app, idle.options), 401)
    for (let passed = step + 120; passed + step < SESSION_MAX_SECONDS; passed += step) {
      assert.equal(await statusOf(app, busy.options), 200)
      app.clock.advance(step)
    }
    assert.equal(await statusOf(app, busy.options), 200)
    app.clock.advance(step)
    assert.equal(await statusOf(app, busy.options), 401)
  })

  it('signing out ends the session, and clears the cookie', async () => {
    const { id } = await addUser(app, 'viewer')
    const [here, elsewhere] = [await addSession(app, id), await addSession(app, id)]
    const answer = await app.call('DELETE', '/api/session', undefined, here.options)
    assert.equal(answer.status, 204)
    assert.match(answer.headers.get('set-cookie')!, /^stampede_session=; Max-Age=0; Path=\//)
    assert.equal(await statusOf(app, here.options), 401)
    assert.equal(await statusOf(app, elsewhere.options), 200)
  })

  it('a new password needs the one before, and ends all other sessions', async () => {
    await addPerson(app, 'hanna')
    const [here, elsewhere] = [await signIn(app, 'hanna'), await signIn(app, 'hanna')]
    const change = (current: string) => {
      const body = { current, password: 'another one entirely' }
      return app.call('PUT', '/api/session/password', body, here.options)
    }
    assert.equal((await change('wrong')).status, 401)
    assert.equal(await statusOf(app, elsewhere.options), 200)
    const answer = await change(PASSWORD)
    assert.equal(answer.status, 204)
    assert.equal(await statusOf(app, elsewhere.options), 401)
    assert.equal(await statusOf(app, here.options), 401)
    const { options } = signedIn(cookieOf(answer.headers)!, here.csrfToken)
    assert.equal((await app.call('DELETE', '/api/session', undefined, options)).status, 204)
    assert.equal((await logIn(app, 'hanna', PASSWORD)).status, 401)
    assert.equal((await logIn(app, 'hanna', 'another one entirely')).status, 200)
  })

  for (const [name, change] of [
    ['disabled', { disabled: true }],
    ['given another role', { role: 'operator' }],
    ['given a new password', { password: 'another one entirely' }],
  ] as const)
    it(`whoever is ${name} is signed out, of the stream of events too`, async () => {
      await using app = await openTestApp({ database })
      const user = await addUser(app, 'viewer', 'maria')
      const session = await addSession(app, user.id)
      await using stream = await openEventStream(app, 0, session.options.headers)
      await app.call('PUT', '/api/machines/52-54-00-00-00-01', { name: 'one' })
      await stream.until(({ event }) => event === 'machine')
      assert.equal((await app.call('PATCH', '/api/users/maria', change)).status, 200)
      assert.equal(await statusOf(app, session.options), 401)
      await app.call('PUT', '/api/machines/52-54-00-00-00-02', { name: 'two' })
      assert.equal(await stream.next(), undefined)
    })

  it('a stream of events does not end for who is none of those', async () => {
    await using app = await openTestApp({ database })
    const user = await addUser(app, 'viewer')
    const session = await addSession(app, user.id)
    await addUser(app, 'viewer', 'other')
    await using stream = await openEventStream(app, 0, session.options.headers)
    await app.call('PATCH', '/api/users/other', { disabled: true })
    await app.call('PUT', '/api/machines/52-54-00-00-00-01', { name: 'one' })
    await stream.until(({ event }) => event === 'machine')
  })

  it('a session says who one is, and what changes must carry', async () => {
    const user = await addUser(app, 'operator', 'ines')
    const session = await addSession(app, user.id)
    const { body } = await app.call<Session>('GET', '/api/session', undefined, session.options)
    assert.partialDeepStrictEqual(body, {
      user: { id: user.id, name: 'ines', role: 'operator' },
      via: 'cookie',
      csrfToken: session.csrfToken,
    })
  })
})
