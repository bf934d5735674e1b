import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, it } from 'node:test'
import { idempotencyKeys, webhooks } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp, type Answer, type TestApp } from '#test/support/test-app.ts'

type Failure = { error: { code: string; message: string } }

describeOnEveryDatabase('idempotency keys', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database })
  })
  after(() => app[Symbol.asyncDispose]())

  let machines = 0
  async function enterMachine(): Promise<string> {
    const mac = `52:54:00:00:09:${(machines += 1).toString(16).padStart(2, '0')}`
    await app.call('PUT', `/api/machines/${mac}`, {})
    return mac
  }
  const post = <Body = Failure>(
    path: string,
    body: unknown,
    key: string,
    token?: string,
  ): Promise<Answer<Body>> =>
    app.call<Body>('POST', path, body, {
      headers: { 'idempotency-key': key },
      ...(token && { token }),
    })
  const startRun = (mac: string, key: string) =>
    post<{ id: string }>('/api/runs', { mac, workflow: 'inventory' }, key)

  it('make a call that is sent again do nothing twice, and answer the same', async () => {
    const mac = await enterMachine()
    const key = randomUUID()
    const first = await startRun(mac, key)
    assert.equal(first.status, 201)
    assert.equal(first.headers.get('idempotent-replayed'), null)
    const again = await startRun(mac, key)
    assert.deepEqual([again.status, again.body], [201, first.body])
    assert.equal(again.headers.get('idempotent-replayed'), 'true')
    assert.equal(again.headers.get('location'), `/api/runs/${first.body.id}`)
    assert.match(again.headers.get('content-type')!, /^application\/json/)
    // As the quoted string that the draft asks for, and with the keys of the body in another order.
    const quoted = await post('/api/runs', { workflow: 'inventory', mac }, `"${key}"`)
    assert.deepEqual(quoted.body, first.body)
    // Without the key it is another call.
    const other = await app.call('POST', '/api/runs', { mac, workflow: 'inventory' })
    assert.equal(other.status, 409)
  })

  it('let one of many at once do it', async () => {
    const key = randomUUID()
    const body = { url: 'http://127.0.0.1:9/', enabled: false }
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => post('/api/webhooks', body, key)),
    )
    const made = answers.filter(({ status }) => status === 201)
    const others = answers.filter(({ status }) => status !== 201)
    assert.equal(made.length, 1)
    for (const { status, body, headers } of others) {
      assert.equal(status, 409)
      if (body.error.code === 'idempotency-in-flight') assert.equal(headers.get('retry-after'), '1')
      else assert.equal(body.error.code, 'idempotency-secret')
    }
    assert.equal(await app.database.db.$count(webhooks), 1)
  })

  it('refuse another call under a key that was used', async () => {
    const key = randomUUID()
    assert.equal((await startRun(await enterMachine(), key)).status, 201)
    const other = await post('/api/runs', { mac: await enterMachine(), workflow: 'wipe' }, key)
    assert.deepEqual([other.status, other.body.error.code], [422, 'idempotency-key-reused'])
  })

  it('are free again when the call was refused', async () => {
    const key = randomUUID()
    const mac = '52:54:00:00:09:ff'
    assert.equal((await startRun(mac, key)).status, 422)
    await app.call('PUT', `/api/machines/${mac}`, {})
    assert.equal((await startRun(mac, key)).status, 201)
  })

  it('of one caller are nothing to another', async () => {
    const token = await app.call<{ secret: string }>('POST', '/api/tokens', {
      name: 'ci',
      role: 'operator',
    })
    const key = randomUUID()
    const mac = await enterMachine()
    assert.equal((await startRun(mac, key)).status, 201)
    const body = { mac, workflow: 'inventory' }
    const theirs = await post('/api/runs', body, key, token.body.secret)
    assert.deepEqual([theirs.status, theirs.body.error.code], [409, 'run-active'])
  })

  it('never bring a secret again, and do not keep it', async () => {
    const key = randomUUID()
    const first = await post<{ secret: string }>('/api/tokens', { name: 'once' }, key)
    assert.equal(first.status, 201)
    const again = await post('/api/tokens', { name: 'once' }, key)
    assert.deepEqual([again.status, again.body.error.code], [409, 'idempotency-secret'])
    const url = 'http://127.0.0.1:9/'
    const hook = await post<{ secret: string }>('/api/webhooks', { url, enabled: false }, key + 'h')
    assert.equal(hook.status, 201)
    const kept = JSON.stringify(await app.database.db.select().from(idempotencyKeys))
    assert.ok(kept.includes(key))
    assert.ok(!kept.includes(first.body.secret))
    assert.ok(!kept.includes(hook.body.secret))
  })

  it('of a call whose server died are free after two minutes', async () => {
    const key = randomUUID()
    const mac = await enterMachine()
    assert.equal((await startRun(mac, key)).status, 201)
    await app.database.db.update(idempotencyKeys).set({ status: null, body: null })
    const waiting = await startRun(mac, key)
    assert.equal(waiting.status, 409)
    app.clock.advance(121)
    const again = await post('/api/runs', { mac, workflow: 'inventory' }, key)
    assert.equal(again.body.error.code, 'run-active') // it was tried indeed
  })

  it('are forgotten after a day', async () => {
    const key = randomUUID()
    const mac = await enterMachine()
    const { body } = await startRun(mac, key)
    await app.call('POST', `/api/runs/${body.id}/cancel`)
    app.clock.advance(24 * 3600 + 1)
    const again = await startRun(mac, key)
    assert.equal(again.status, 201)
    assert.notEqual(again.body.id, body.id)
    app.clock.advance(24 * 3600 + 1)
    await app.tick()
    assert.equal(await app.database.db.$count(idempotencyKeys), 0)
  })

  it('are nothing to an upload, whose content nobody compares', async () => {
    const key = randomUUID()
    const upload = (byte: number) =>
      app.call<{ digest: string }>('POST', '/api/images/debian', new Uint8Array(512).fill(byte), {
        headers: { 'idempotency-key': key, 'content-type': 'application/octet-stream' },
      })
    const [one, other] = [await upload(1), await upload(2)]
    assert.deepEqual([one.status, other.status], [201, 201])
    assert.notEqual(one.body.digest, other.body.digest)
  })

  it('must be something visible', async () => {
    for (const key of ['""', 'a b', 'x'.repeat(256)]) {
      const answer = await post('/api/runs', { mac: await enterMachine(), workflow: 'wipe' }, key)
      assert.deepEqual([answer.status, answer.body.error.code], [400, 'bad-idempotency-key'])
    }
  })
})
