import assert from 'node:assert/strict'
import { after, before, beforeEach, it } from 'node:test'
import type { Machine } from '#protocol/machine/machine.ts'
import { machines } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { untilOneWaits } from '#test/support/until-one-waits.ts'

const URL = '/api/machines/52:54:00:ab:cd:ef'

describeOnEveryDatabase('machine routes', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database })
  })
  after(() => app[Symbol.asyncDispose]())
  beforeEach(() => app.database.db.delete(machines))

  it('a machine saved under one spelling of its MAC is found under another', async () => {
    const body = { name: 'rack3', locked: false }
    const saved = await app.call('PUT', '/api/machines/52-54-00-AB-CD-EF', body)
    assert.equal(saved.status, 200)
    const found = await app.call('GET', '/api/machines/525400abcdef')
    assert.deepEqual(found.body, {
      mac: '52:54:00:ab:cd:ef',
      macs: ['52:54:00:ab:cd:ef'],
      ...body,
      tags: [],
      state: 'ready',
      lastSeenAt: null,
    })
  })

  it('PUT replaces what it does not name, PATCH leaves it', async () => {
    await app.call('PUT', URL, { name: 'rack3', tags: ['a'], hostname: 'node1', image: 'debian' })
    const patched = await app.call<Machine>('PATCH', URL, { hostname: null, locked: true })
    assert.equal('hostname' in patched.body, false)
    assert.partialDeepStrictEqual(patched.body, { name: 'rack3', tags: ['a'], image: 'debian' })
    const replaced = await app.call<Machine>('PUT', URL, {})
    assert.deepEqual(replaced.body, {
      mac: '52:54:00:ab:cd:ef',
      macs: ['52:54:00:ab:cd:ef'],
      name: '52-54-00-ab-cd-ef',
      locked: false,
      tags: [],
      state: 'ready',
      lastSeenAt: null,
    })
  })

  it('takes back what it gave, changed', async () => {
    await app.call('PUT', URL, { name: 'rack3', tags: ['a'] })
    const { body } = await app.call<Machine>('GET', URL)
    const changed = { ...body, name: 'rack4', state: 'deployed', lastSeenAt: '1999' }
    const put = await app.call('PUT', URL, changed)
    assert.deepEqual([put.status, put.body], [200, { ...body, name: 'rack4' }])
    const other = await app.call('PUT', '/api/machines/52:54:00:ab:cd:00', body)
    assert.equal(other.status, 422)
  })

  it('says in words what is wrong with a request', async () => {
    const messageOf = async (...[method, path, body, options]: Parameters<TestApp['call']>) => {
      const answer = await app.call<{ error: { message: string } }>(method, path, body, options)
      return [answer.status, answer.body.error.message]
    }
    assert.deepEqual(await messageOf('GET', '/api/machines/rack3'), [
      400,
      'The path is not valid: mac must be a MAC address such as 52:54:00:12:34:56',
    ])
    assert.deepEqual(await messageOf('GET', '/api/machines?limit=0'), [
      400,
      'The query is not valid: limit must be >= 1',
    ])
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    assert.deepEqual(await messageOf('PUT', URL, '{}', { headers }), [
      415,
      'Send JSON, with the header "Content-Type: application/json"',
    ])
  })

  it('lists all machines page by page', async () => {
    const macs = ['01', '02', '03', '04', '05'].map((end) => `52:54:00:00:00:${end}`)
    for (const mac of macs.toReversed()) await app.call('PUT', `/api/machines/${mac}`, {})
    const seen: string[] = []
    for (let next: string | null = ''; next !== null;) {
      type List = { items: Machine[]; next: string | null }
      const after: string = next && `&after=${encodeURIComponent(next)}`
      const page = await app.call<List>('GET', `/api/machines?limit=2${after}`)
      seen.push(...page.body.items.map(({ mac }) => mac))
      next = page.body.next
    }
    assert.deepEqual(seen, macs)
  })

  it('forgets a deleted machine', async () => {
    await app.call('PUT', URL, {})
    assert.equal((await app.call('DELETE', URL)).status, 204)
    assert.equal((await app.call('GET', URL)).status, 404)
    assert.equal((await app.call('DELETE', URL)).status, 404)
  })

  it('a change does not bring back a machine that is deleted in that moment', async () => {
    await app.call('PUT', URL, {})
    const changed = await app.database.db.transaction(async (tx) => {
      await tx.delete(machines)
      const answer = app.call('PATCH', URL, { tags: ['late'] })
      if (database === 'postgres') await untilOneWaits(tx)
      return { answer }
    })
    assert.equal((await changed.answer).status, 404)
    assert.equal((await app.call('GET', URL)).status, 404)
  })

  it('answers both of two first saves at once', async () => {
    const both = await Promise.all([1, 2].map((i) => app.call('PUT', URL, { name: `n${i}` })))
    assert.deepEqual(
      both.map(({ status }) => status),
      [200, 200],
    )
  })

  const refused: [what: string, status: number, method: string, path: string, body?: unknown][] = [
    ['a MAC that is none', 400, 'GET', '/api/machines/52:54:00:ab:cd'],
    ['a field that we do not know', 400, 'PUT', URL, { nmae: 'rack3' }],
    ['null where it removes nothing', 400, 'PUT', URL, { image: null }],
    ['an address beyond 255', 422, 'PUT', URL, { network: { address: '10.0.0.256/24' } }],
    ['a change of an unknown machine', 404, 'PATCH', URL, { locked: true }],
    ['a list without end', 400, 'GET', '/api/machines?limit=100000'],
  ]
  for (const [what, status, method, path, body] of refused)
    it(`refuses ${what} with ${status}`, async () => {
      const answer = await app.call<{ error: { code: string; message: string } }>(
        method,
        path,
        body,
      )
      assert.equal(answer.status, status)
      assert.match(answer.body.error.code, /^[a-z-]+$/)
      assert.match(answer.body.error.message, /^[A-Z].*[^.]$/)
    })
})
