import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

/** A resource that operators edit: where it is, how it comes to be, and two ways to change it. */
interface Tagged {
  what: string
  create: (app: TestApp) => Promise<string>
  change: { method: 'PUT' | 'PATCH'; one: object; other: object }
}

const RESOURCES: Tagged[] = [
  {
    what: 'machine',
    create: async (app) => {
      await app.call('PUT', '/api/machines/52:54:00:00:08:01', { name: 'rack3' })
      return '/api/machines/52:54:00:00:08:01'
    },
    change: { method: 'PATCH', one: { name: 'one' }, other: { locked: true } },
  },
  {
    what: 'replaced machine',
    create: async (app) => {
      await app.call('PUT', '/api/machines/52:54:00:00:08:02', { name: 'rack3' })
      return '/api/machines/52:54:00:00:08:02'
    },
    change: { method: 'PUT', one: { name: 'one' }, other: { name: 'other' } },
  },
  {
    what: 'reservation',
    create: async (app) => {
      const path = '/api/reservations/52:54:00:00:08:03'
      await app.call('PUT', path, { address: '192.0.2.1' })
      return path
    },
    change: { method: 'PUT', one: { address: '192.0.2.2' }, other: { address: '192.0.2.3' } },
  },
  {
    what: 'user',
    create: async (app) => {
      const body = { name: 'maria', role: 'viewer', password: 'correct horse battery' }
      assert.equal((await app.call('POST', '/api/users', body)).status, 201)
      return '/api/users/maria'
    },
    change: { method: 'PATCH', one: { role: 'operator' }, other: { disabled: true } },
  },
  {
    what: 'image',
    create: async (app) => {
      const body = new Uint8Array(4096).fill(7)
      const headers = { 'content-type': 'application/octet-stream' }
      const answer = await app.call('POST', '/api/images/debian', body, { headers })
      assert.equal(answer.status, 201)
      return '/api/images/debian'
    },
    change: { method: 'PATCH', one: { description: 'one' }, other: { description: 'other' } },
  },
  {
    what: 'webhook',
    create: async (app) => {
      const body = { url: 'http://127.0.0.1:9/', enabled: false }
      const answer = await app.call<{ id: string }>('POST', '/api/webhooks', body)
      return `/api/webhooks/${answer.body.id}`
    },
    change: { method: 'PATCH', one: { events: ['run'] }, other: { events: ['image'] } },
  },
]

/** Writers that all read the same version. */
const WRITERS = 8

describeOnEveryDatabase('entity tags', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database })
  })
  after(() => app[Symbol.asyncDispose]())

  for (const { what, create, change } of RESOURCES)
    it(`of a ${what} let nobody undo what they did not see`, async () => {
      const path = await create(app)
      const read = async (headers = {}) => app.call('GET', path, undefined, { headers })
      const write = (body: object, tag: string) =>
        app.call<{ error: { code: string; message: string } }>(change.method, path, body, {
          headers: { 'if-match': tag },
        })
      const first = (await read()).headers.get('etag')!
      assert.match(first, /^"[\w-]{22}"$/)
      assert.equal((await read()).headers.get('etag'), first)

      const changed = await write(change.one, first)
      assert.equal(changed.status, 200)
      const second = changed.headers.get('etag')!
      assert.notEqual(second, first)
      assert.equal((await read()).headers.get('etag'), second)
      const late = await write(change.other, first)
      assert.equal(late.status, 412)
      assert.equal(late.body.error.code, 'precondition-failed')
      assert.match(late.body.error.message, /^Somebody changed this since you read it/)
      assert.deepEqual((await write(change.other, `W/${second}`)).status, 412)
      assert.equal((await read()).headers.get('etag'), second)

      const unchanged = await read({ 'if-none-match': `"other", ${second}` })
      assert.deepEqual([unchanged.status, unchanged.body], [304, ''])
      assert.equal(unchanged.headers.get('cache-control'), 'no-store')
      assert.equal((await read({ 'if-none-match': first })).status, 200)

      // All have read the same: one is first, and the others hear of it.
      const answers = await Promise.all(
        Array.from({ length: WRITERS }, () => write(change.other, second)),
      )
      const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
      assert.deepEqual(statuses, [200, ...Array<number>(WRITERS - 1).fill(412)])

      assert.equal((await remove(path, first)).status, 412)
      assert.equal((await read()).status, 200)
      const { headers } = await read()
      assert.equal((await remove(path, headers.get('etag')!)).status, 204)
    })

  function remove(path: string, tag: string) {
    return app.call('DELETE', path, undefined, { headers: { 'if-match': tag } })
  }

  it('of a machine do not change with what it does by itself', async () => {
    const path = '/api/machines/52:54:00:00:08:10'
    await app.call('PUT', path, { tags: ['a'] })
    const { headers } = await app.call('GET', path)
    const run = { mac: '52:54:00:00:08:10', workflow: 'inventory' }
    assert.equal((await app.call('POST', '/api/runs', run)).status, 201)
    const later = await app.call<{ state: string }>('GET', path)
    assert.equal(later.body.state, 'queued')
    assert.equal(later.headers.get('etag'), headers.get('etag'))
  })

  it('let one create what must not be there yet', async () => {
    const put = (path: string, headers: Record<string, string>) =>
      app.call('PUT', path, {}, { headers })
    const path = '/api/machines/52:54:00:00:08:11'
    assert.equal((await put(path, { 'if-match': '*' })).status, 412)
    const answers = await Promise.all([1, 2, 3].map(() => put(path, { 'if-none-match': '*' })))
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 412, 412],
    )
    assert.equal((await put(path, { 'if-match': '*' })).status, 200)
  })
})
