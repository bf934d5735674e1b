import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ne } from 'drizzle-orm'
import type { CreatedWebhook, Webhook, WebhookDelivery } from '#protocol/webhook.ts'
import { pino } from 'pino'
import { webhookDeliveries, webhooks } from '#server/db/schema.ts'
import { createWebhook } from '#server/db/webhooks/webhooks.ts'
import type { Database } from '#server/db/database.ts'
import { openDatabase } from '#server/db/open-database.ts'
import { recordEvent } from '#server/db/events.ts'
import { MAX_ATTEMPTS, retryDelaySeconds, signedHeaders } from '#server/webhooks/webhook-rules.ts'
import { openWebhookSender } from '#server/webhooks/webhooks.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openEventStream } from '#test/support/event-stream.ts'
import { openHttpReceiver, type HttpReceiver } from '#test/support/http-receiver.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type List<Item> = { items: Item[]; next: string | null }

describeOnEveryDatabase('webhooks', (_open, database) => {
  let app: TestApp
  const logs: string[] = []
  before(async () => {
    app = await openTestApp({ database, onLog: (line) => logs.push(line) })
  })
  after(() => app[Symbol.asyncDispose]())

  async function addHook(receiver: HttpReceiver, more: object = {}): Promise<CreatedWebhook> {
    const body = { url: receiver.url, ...more }
    const answer = await app.call<CreatedWebhook>('POST', '/api/webhooks', body)
    assert.equal(answer.status, 201)
    return answer.body
  }
  const removeHooks = () => app.database.db.delete(webhooks)
  const putMachine = (end: string, body: object = {}) =>
    app.call('PUT', `/api/machines/52:54:00:00:07:${end}`, body)
  const deliveriesOf = async ({ id }: Webhook, query = '') =>
    (await app.call<List<WebhookDelivery>>('GET', `/api/webhooks/${id}/deliveries${query}`)).body
  const typesOf = ({ received }: HttpReceiver) =>
    received.map(({ body }) => (JSON.parse(body) as { type: string }).type)

  it('get what happens, in order, signed so that the receiver can tell', async () => {
    await using receiver = await openHttpReceiver()
    const hook = await addHook(receiver, { events: ['machine'] })
    for (let i = 10; i < 40; i++) await putMachine(String(i), { name: `n${i}` })
    await receiver.until(({ length }) => length === 30)
    const messages = receiver.received.map(({ body }) => JSON.parse(body))
    assert.deepEqual(
      messages.map(({ data }) => data.name),
      Array.from({ length: 30 }, (_, i) => `n${i + 10}`),
    )
    const [{ headers, body }] = receiver.received as [(typeof receiver.received)[0]]
    const at = new Date(Number(headers['webhook-timestamp']) * 1000)
    const id = String(headers['webhook-id'])
    assert.partialDeepStrictEqual(headers, signedHeaders({ id, body }, hook.secret, at))
    assert.deepEqual(Object.keys(messages[0]), ['type', 'timestamp', 'data'])
    await app.tick()
    const { items } = await deliveriesOf(hook, '?limit=1000')
    assert.equal(items.length, 30)
    assert.partialDeepStrictEqual(items.at(-1), {
      id,
      state: 'delivered',
      attempts: 1,
      status: 200,
      answer: 'thank you',
      error: null,
    })
    await removeHooks()
  })

  it('get only the kinds that they ask for', async () => {
    await using receiver = await openHttpReceiver()
    await addHook(receiver, { events: ['run'] })
    await putMachine('50', { image: 'debian' })
    await app.call('POST', '/api/runs', { mac: '52:54:00:00:07:50', workflow: 'inventory' })
    await receiver.until(({ length }) => length > 0)
    await app.tick()
    assert.deepEqual([...new Set(typesOf(receiver))], ['run'])
    await removeHooks()
  })

  it('are tried again later and later, under the same id, until somebody answers', async () => {
    await using receiver = await openHttpReceiver()
    receiver.answer = (_request, response) => response.writeHead(500).end('out of order')
    const hook = await addHook(receiver)
    await putMachine('51')
    for (let attempt = 1; attempt <= 3; attempt++) {
      await receiver.until(({ length }) => length === attempt)
      await app.tick()
      const [delivery] = (await deliveriesOf(hook)).items
      assert.partialDeepStrictEqual(delivery, {
        state: 'pending',
        attempts: attempt,
        status: 500,
        answer: 'out of order',
        error: 'The receiver answered 500',
      })
      // A moment earlier than it may come, nothing happens.
      const earliest = retryDelaySeconds(attempt, 0)! - 1
      app.clock.advance(earliest)
      await app.tick()
      assert.equal(receiver.received.length, attempt)
      app.clock.advance(retryDelaySeconds(attempt, 1)! - earliest)
      if (attempt === 3) receiver.answer = (_request, response) => response.end()
      await app.tick()
    }
    await receiver.until(({ length }) => length === 4)
    await app.tick()
    assert.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1)
    assert.equal((await deliveriesOf(hook)).items[0]?.state, 'delivered')
    await removeHooks()
  })

  it('are disabled when nothing arrived for a day, and everybody is told', async () => {
    await using receiver = await openHttpReceiver()
    await using stream = await openEventStream(app)
    receiver.answer = (_request, response) => response.writeHead(503).end()
    const hook = await addHook(receiver)
    await putMachine('52')
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      await receiver.until(({ length }) => length === attempt)
      await app.tick()
      app.clock.advance(retryDelaySeconds(attempt, 1) ?? 0)
      await app.tick()
    }
    const { body } = await app.call<Webhook>('GET', `/api/webhooks/${hook.id}`)
    assert.equal(body.enabled, false)
    assert.match(body.disabledReason!, /nothing arrived for a day.*answered 503/)
    const seen = await stream.until(({ data }) => data['code'] === 'webhook-disabled')
    assert.equal(seen.at(-1)?.data['webhook'], hook.id)
    const [delivery] = (await deliveriesOf(hook)).items
    assert.partialDeepStrictEqual(delivery, { state: 'failed', attempts: MAX_ATTEMPTS })

    // Enabled and retried by hand, it goes on.
    const path = `/api/webhooks/${hook.id}/deliveries/${delivery!.id}/retry`
    assert.equal((await app.call('POST', path)).status, 409)
    await app.call('PATCH', `/api/webhooks/${hook.id}`, { enabled: true })
    receiver.answer = (_request, response) => response.end()
    assert.equal((await app.call('POST', path)).status, 200)
    await receiver.until(({ length }) => length === MAX_ATTEMPTS + 1)
    await app.tick()
    assert.equal((await deliveriesOf(hook)).items[0]?.state, 'delivered')
    await removeHooks()
  })

  it('are disabled at once by a receiver that is gone', async () => {
    await using receiver = await openHttpReceiver()
    receiver.answer = (_request, response) => response.writeHead(410).end()
    const hook = await addHook(receiver)
    await putMachine('53')
    await receiver.until(({ length }) => length === 1)
    await app.tick()
    const { body } = await app.call<Webhook>('GET', `/api/webhooks/${hook.id}`)
    assert.equal(body.enabled, false)
    assert.match(body.disabledReason!, /410/)
    await removeHooks()
  })

  it('of a slow receiver hold up no other', async () => {
    await using slow = await openHttpReceiver()
    await using quick = await openHttpReceiver()
    slow.answer = () => {} // never
    await addHook(slow)
    await addHook(quick)
    for (const end of ['54', '55', '56']) await putMachine(end)
    await quick.until(({ length }) => length === 3)
    assert.ok(slow.received.length <= 1)
    await removeHooks()
  })

  it('follow no redirect, and read no more of an answer than a beginning', async () => {
    await using receiver = await openHttpReceiver()
    await using elsewhere = await openHttpReceiver()
    receiver.answer = (_request, response) =>
      response.writeHead(302, { location: elsewhere.url }).end()
    const hook = await addHook(receiver)
    const test = () => app.call<WebhookDelivery>('POST', `/api/webhooks/${hook.id}/test`)
    const redirected = (await test()).body
    assert.partialDeepStrictEqual(redirected, { state: 'failed', status: 302, nextAttemptAt: null })
    assert.match(redirected.error!, /redirects are not followed/)
    assert.equal(elsewhere.received.length, 0)

    receiver.answer = (_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write('x'.repeat(65_536)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }
    const endless = (await test()).body
    assert.partialDeepStrictEqual(endless, { state: 'delivered', status: 200 })
    assert.equal(endless.answer?.length, 1000)
    await removeHooks()
  })

  it('can be tested, also when nobody is there', async () => {
    const receiver = await openHttpReceiver()
    const hook = await addHook(receiver, { enabled: false })
    const url = `/api/webhooks/${hook.id}/test`
    assert.partialDeepStrictEqual((await app.call('POST', url)).body, {
      type: 'ping',
      state: 'delivered',
      attempts: 1,
      eventId: null,
    })
    assert.deepEqual(typesOf(receiver), ['ping'])
    await receiver[Symbol.asyncDispose]()
    const { body } = await app.call<WebhookDelivery>('POST', url)
    assert.partialDeepStrictEqual(body, { state: 'failed', status: null })
    assert.match(body.error!, /could not be reached: .*ECONNREFUSED/)
    await removeHooks()
  })

  it('tell their secret once, and never again', async () => {
    await using receiver = await openHttpReceiver()
    const hook = await addHook(receiver)
    assert.match(hook.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
    const path = `/api/webhooks/${hook.id}`
    await app.call('PATCH', path, { events: ['run'] })
    await app.call('POST', `${path}/test`)
    const answers = await Promise.all(
      ['/api/webhooks', path, `${path}/deliveries`, '/api/audit'].map((url) =>
        app.call('GET', url),
      ),
    )
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    const key = hook.secret.slice('whsec_'.length)
    assert.ok(!JSON.stringify(answers.map(({ body }) => body)).includes(key))
    assert.ok(!logs.some((line) => line.includes(key)))
    await removeHooks()
  })

  it('list their deliveries page by page, newest first', async () => {
    await using receiver = await openHttpReceiver()
    const hook = await addHook(receiver)
    for (let i = 60; i < 67; i++) await putMachine(String(i))
    await receiver.until(({ length }) => length === 7)
    await app.tick()
    const seen: (number | null)[] = []
    for (let next: string | null = ''; next !== null;) {
      const page: List<WebhookDelivery> = await deliveriesOf(
        hook,
        `?limit=2${next && `&after=${next}`}`,
      )
      seen.push(...page.items.map(({ eventId }) => eventId))
      next = page.next
    }
    assert.equal(seen.length, 7)
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => b! - a!),
    )
    await removeHooks()
  })

  const refused: [what: string, status: number, body: unknown][] = [
    ['an address that is none', 400, { url: 'ftp://example.com' }],
    ['a port that is none', 422, { url: 'http://example.com:99999' }],
    ['a password in the address', 422, { url: 'https://me:secret@example.com' }],
    ['a kind that there is not', 400, { url: 'http://a', events: ['disk'] }],
    ['a secret of their own', 400, { url: 'http://a', secret: 'x' }],
  ]
  for (const [what, status, body] of refused)
    it(`are refused with ${what}`, async () => {
      assert.equal((await app.call('POST', '/api/webhooks', body)).status, status)
    })
})

describeOnEveryDatabase('senders of webhooks', (open, kind) => {
  const log = pino({ level: 'silent' })
  const now = () => new Date()
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
  const record = (db: Database, n: number) =>
    db.transaction(async (tx) => recordEvent(tx, 'notice', { n }))
  const numbersOf = ({ received }: HttpReceiver) =>
    received.map(({ body }) => (JSON.parse(body) as { data: { n: number } }).data.n)

  it('miss nothing of what happened while there was none, whatever its amount', async () => {
    await using receiver = await openHttpReceiver()
    await using database = await open()
    await createWebhook(database.db, { url: receiver.url }, now())
    for (const n of numbers(450)) await record(database.db, n)
    await using sender = await openWebhookSender({ database, log, now })
    await receiver.until(({ length }) => length === 450)
    await sender.settle()
    assert.deepEqual(numbersOf(receiver), numbers(450))
  })

  it('go on where a stopped one left off', async () => {
    await using receiver = await openHttpReceiver()
    await using database = await open()
    await createWebhook(database.db, { url: receiver.url }, now())
    let held: ServerResponse | undefined
    receiver.answer = (_request, response) => {
      if (receiver.received.length === 3) held = response
      else response.end()
    }
    for (const n of numbers(6)) await record(database.db, n)
    const first = await openWebhookSender({ database, log, now })
    await receiver.until(() => receiver.received.length === 3)
    await first[Symbol.asyncDispose]() // does not wait for the answer that never comes
    held?.destroy()
    await using second = await openWebhookSender({ database, log, now })
    await receiver.until(({ length }) => length === 7)
    await second.settle()
    assert.deepEqual(numbersOf(receiver), [0, 1, 2, 2, 3, 4, 5])
    const ids = receiver.received.map(({ headers }) => headers['webhook-id'])
    assert.equal(ids[2], ids[3])
  })

  it('on several servers send each event once, in order', async () => {
    await using receiver = await openHttpReceiver()
    await using database = await open()
    await createWebhook(database.db, { url: receiver.url }, now())
    await using replicas = new AsyncDisposableStack()
    for (let i = 0; i < 3; i++) {
      // PGlite has one process; there, several senders share its connection.
      const own = kind === 'postgres' ? replicas.use(await openDatabase(database.config)) : database
      replicas.use(await openWebhookSender({ database: own, log, now }))
    }
    for (const n of numbers(120)) await record(database.db, n)
    await receiver.until(({ length }) => length >= 120)
    // One that is disposed before it wrote down the answer leaves the last to another one, which sends it again.
    while (
      (await database.db.$count(webhookDeliveries, ne(webhookDeliveries.state, 'delivered'))) > 0
    )
      await sleep(20)
    await replicas.disposeAsync()
    assert.deepEqual(numbersOf(receiver), numbers(120))
  })
})
