import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { eq, lt } from 'drizzle-orm'
import { parseMac } from '#protocol/mac.ts'
import { lastEventId } from '#server/db/events.ts'
import { events, machines } from '#server/db/schema.ts'
import { addSession, addUser } from '#test/support/accounts.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openEventStream } from '#test/support/event-stream.ts'
import { queueRun, readRun, startAgent } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { untilOneWaits } from '#test/support/until-one-waits.ts'

type ErrorAnswer = { error: { code: string } }

describeOnEveryDatabase('event routes', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())

  it('tells of each change with the whole resource, under ids that only grow', async () => {
    await using stream = await openEventStream(app)
    const mac = '52:54:00:00:03:01'
    const { id } = await queueRun(app, mac)
    await app.call('POST', `/api/runs/${id}/cancel`)
    const seen = await stream.until(({ data }) => data['state'] === 'cancelled')
    assert.deepEqual(seen.at(-1)?.data, (({ log: _log, ...run }) => run)(await readRun(app, id)))
    assert.deepEqual(
      seen.map(({ event, data }) => [event, data['state']]),
      [
        ['machine', 'ready'],
        ['run', 'queued'],
        ['machine', 'queued'],
        ['run', 'cancelled'],
      ],
    )
    const ids = seen.map((event) => event.id!)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(ids).size, ids.length)
  })

  it('gives one account a hundred streams, another one its own, and a place that is left again', async () => {
    const user = await addUser(app, 'viewer')
    const { options } = await addSession(app, user.id)
    const streams = await Promise.all(
      Array.from({ length: 100 }, () => openEventStream(app, undefined, options.headers)),
    )
    const refused = await app.call<ErrorAnswer>('GET', '/api/events', undefined, options)
    assert.equal(refused.status, 429)
    assert.equal(refused.body.error.code, 'too-many-streams')
    {
      await using other = await openEventStream(app)
      await app.call('PUT', '/api/machines/52:54:00:00:03:99', {})
      await other.until(({ data }) => data['mac'] === '52:54:00:00:03:99')
    }
    await streams.pop()![Symbol.asyncDispose]()
    // The server hears of it a moment later.
    for (;;) {
      await using again = await openEventStream(app, undefined, options.headers).catch(
        () => undefined,
      )
      if (again) break
    }
    await Promise.all(streams.map((stream) => stream[Symbol.asyncDispose]()))
  })

  it('goes on after the event that a reader saw last', async () => {
    await using first = await openEventStream(app)
    const put = (end: string) => app.call('PUT', `/api/machines/52:54:00:00:03:${end}`, {})
    await put('10')
    const [seen] = await first.until(() => true)
    await put('11')
    await put('12')
    await using again = await openEventStream(app, seen!.id)
    await put('13')
    const missed = await again.until(({ data }) => data['mac'] === '52:54:00:00:03:13')
    assert.deepEqual(
      missed.map(({ data }) => data['mac']),
      ['52:54:00:00:03:11', '52:54:00:00:03:12', '52:54:00:00:03:13'],
    )
  })

  it('replays more than one batch in order, without a gap', async () => {
    await using first = await openEventStream(app)
    const mac = '52:54:00:00:03:20'
    await app.call('PUT', `/api/machines/${mac}`, { name: 'start' })
    const [start] = await first.until(() => true)
    for (let i = 0; i < 120; i++) await app.call('PATCH', `/api/machines/${mac}`, { name: `n${i}` })
    await using again = await openEventStream(app, start!.id)
    const names = (await again.until(({ data }) => data['name'] === 'n119')).map(
      ({ data }) => data['name'],
    )
    assert.deepEqual(
      names,
      Array.from({ length: 120 }, (_, i) => `n${i}`),
    )
  })

  it('events of changes that were made at once come in the order of their ids', async () => {
    await using stream = await openEventStream(app)
    const macs = Array.from({ length: 40 }, (_, i) => `52:54:00:00:04:${(i + 16).toString(16)}`)
    await Promise.all(macs.map((mac) => app.call('PUT', `/api/machines/${mac}`, {})))
    const left = new Set<unknown>(macs)
    const seen = await stream.until(({ data }) => left.delete(data['mac']) && left.size === 0)
    const ids = seen.map(({ id }) => id!)
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    )
  })

  it('the last one tells what the machine is at last, though a run was queued while it was changed', async () => {
    const mac = '52:54:00:00:04:0e'
    await app.call('PUT', `/api/machines/${mac}`, { name: 'before' })
    await using stream = await openEventStream(app)
    const queued = await app.database.db.transaction(async (tx) => {
      const name = 'after'
      await tx
        .update(machines)
        .set({ name })
        .where(eq(machines.mac, parseMac(mac)))
      const answer = app.call('POST', '/api/runs', { mac, workflow: 'wipe' })
      if (database === 'postgres') await untilOneWaits(tx)
      return { answer }
    })
    await queued.answer
    const seen = await stream.until(({ event, data }) => event === 'machine' && data['mac'] === mac)
    assert.partialDeepStrictEqual(seen.at(-1)?.data, { name: 'after', state: 'queued' })
  })

  it('progress comes without an id, and is not there for who comes later', async () => {
    const mac = '52:54:00:00:03:30'
    await using stream = await openEventStream(app)
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await agent.report({ bytesDone: 1 })
    await agent.report({ bytesDone: 2, bytesTotal: 9 })
    const seen = await stream.until(
      ({ event, data }) => event === 'progress' && data['bytesDone'] === 2,
    )
    const { event, data, ...rest } = seen.at(-1)!
    assert.equal(event, 'progress')
    assert.deepEqual(rest, {})
    assert.partialDeepStrictEqual(data, { run: id, mac, step: 'check-machine', bytesTotal: 9 })

    const lastId = seen.findLast((one) => one.id !== undefined)!.id!
    await using later = await openEventStream(app, lastId)
    await app.call('PUT', '/api/machines/52:54:00:00:03:31', {})
    const [next] = await later.until(() => true)
    assert.equal(next?.data['mac'], '52:54:00:00:03:31')
  })

  /** The first of the texts that a listener gets. */
  async function beginningOf(query: string, headers: Record<string, string> = {}) {
    const response = await fetch(`http://127.0.0.1:${app.port}/api/events${query}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
      signal: AbortSignal.timeout(60_000),
    })
    if (!response.ok) return String(response.status)
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (text.split('\n\n').length < 3) text += (await reader.read()).value
    await reader.cancel()
    return text.replace(/data: .*/s, '')
  }

  it('goes on from an id in the address, where no header can be sent', async () => {
    await app.call('PUT', '/api/machines/52:54:00:00:03:41', {})
    const newest = await lastEventId(app.database.db)
    const missed = `retry: 2000\nid: ${newest - 1}\n\nid: ${newest}\nevent: machine\n`
    assert.equal(await beginningOf(`?lastEventId=${newest - 1}`), missed)
    // A browser that comes again sends both, and the header is the newer one.
    const header = { 'last-event-id': String(newest - 1) }
    assert.equal(await beginningOf('?lastEventId=1', header), missed)
    assert.equal(await beginningOf('?lastEventId=x'), '400')
  })

  it('says so when what was missed is no longer kept, and goes on', async () => {
    await app.call('PUT', '/api/machines/52:54:00:00:03:42', {})
    const { db } = app.database
    const newest = await lastEventId(db)
    await db.delete(events).where(lt(events.id, newest))
    await using stream = await openEventStream(app, newest - 3)
    await app.call('PUT', '/api/machines/52:54:00:00:03:43', {})
    const [reset, next] = await stream.until(({ event }) => event === 'machine')
    const data = { lastEventId: newest - 3 }
    assert.deepEqual(reset, { id: newest, event: 'reset', data })
    assert.equal(next?.data['mac'], '52:54:00:00:03:43')
    // The one before the oldest that is kept has missed nothing.
    await using atEdge = await openEventStream(app, newest - 1)
    const [first] = await atEdge.until(() => true)
    assert.deepEqual([first?.id, first?.event], [newest, 'machine'])
  })

  it('takes an id that is yet to come for one of another database', async () => {
    const newest = await lastEventId(app.database.db)
    await using stream = await openEventStream(app, newest + 1000)
    await app.call('PUT', '/api/machines/52:54:00:00:03:44', {})
    const [reset, next] = await stream.until(({ event }) => event === 'machine')
    assert.deepEqual([reset?.event, reset?.id], ['reset', newest])
    assert.equal(next?.data['mac'], '52:54:00:00:03:44')
  })

  it('takes a hole that a failed change left for none', async () => {
    const { db } = app.database
    const newest = await lastEventId(db)
    const failed = db.transaction(async (tx) => {
      await tx.insert(events).values({ kind: 'notice', data: {} })
      throw new Error('on purpose')
    })
    await assert.rejects(failed, /on purpose/)
    await using stream = await openEventStream(app, newest)
    await app.call('PUT', '/api/machines/52:54:00:00:03:45', {})
    const [first] = await stream.until(() => true)
    assert.deepEqual([first?.event, first?.id], ['machine', newest + 2])
  })

  it('a deleted machine is told of as such', async () => {
    await using stream = await openEventStream(app)
    await app.call('PUT', '/api/machines/52:54:00:00:03:40', {})
    await app.call('DELETE', '/api/machines/52:54:00:00:03:40')
    const seen = await stream.until(({ data }) => data['deleted'] === true)
    assert.equal(seen.at(-1)?.data['mac'], '52:54:00:00:03:40')
  })

  it('a reader that never reads holds up nobody', async () => {
    const idle = await fetch(`http://127.0.0.1:${app.port}/api/events`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests', 'last-event-id': '0' },
    })
    await using stream = await openEventStream(app)
    await app.call('PUT', '/api/machines/52:54:00:00:03:50', {})
    await stream.until(({ data }) => data['mac'] === '52:54:00:00:03:50')
    await idle.body?.cancel()
  })
})

describeOnEveryDatabase('event routes of a server that stops', (_open, database) => {
  it('end, so that they do not hold it up', async () => {
    const app = await openTestApp({ database })
    await using stream = await openEventStream(app)
    await app[Symbol.asyncDispose]()
    assert.equal(await stream.next(), undefined)
  })
})
