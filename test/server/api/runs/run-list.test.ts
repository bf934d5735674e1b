import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { LogLine, Run } from '#protocol/run/run.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type List<Item> = { items: Item[]; next: string | null }

describeOnEveryDatabase('runs that are asked for', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())

  const mac = (end: string) => `52:54:00:00:06:${end}`
  const list = async (query: string) => {
    const { status, body } = await app.call<List<Run>>('GET', `/api/runs?${query}`)
    assert.equal(status, 200, JSON.stringify(body))
    return body.items.map(({ id }) => id)
  }

  it('are found by what they do, with which image, and whether they have ended', async () => {
    const capture = await queueRun(app, mac('01'), { workflow: 'capture', image: 'golden' })
    const wipe = await queueRun(app, mac('02'))
    const ended = await queueRun(app, mac('03'))
    await app.call('POST', `/api/runs/${ended.id}/cancel`)
    const failed = await queueRun(app, mac('04'))
    await (await startAgent(app, mac('04'))).result({ state: 'failed', error: 'x' })

    assert.deepEqual(await list('workflow=capture'), [capture.id])
    assert.deepEqual(await list('image=golden'), [capture.id])
    assert.deepEqual(await list('image=other'), [])
    assert.deepEqual(await list('active=true'), [wipe.id, capture.id])
    assert.deepEqual(await list('active=false'), [failed.id, ended.id])
    assert.deepEqual(await list('state=failed,cancelled'), [failed.id, ended.id])
    assert.deepEqual(await list('active=true&workflow=wipe'), [wipe.id])
    assert.deepEqual(await list(`active=true&mac=${mac('03')}`), [])
    assert.deepEqual(await list('plan=01890a5d-ac96-774b-bcce-b302099a8057'), [])
    for (const query of ['state=done', 'state=failed,', 'workflow=x', 'plan=1', 'active=maybe'])
      assert.equal((await app.call('GET', `/api/runs?${query}`)).status, 400, query)
  })

  it('have a log that is read page by page, of each attempt', async () => {
    const { id } = await queueRun(app, mac('05'))
    const first = await startAgent(app, mac('05'))
    await first.log(0, ['one'])
    app.clock.advance(120)
    const second = await startAgent(app, mac('05'))
    await second.log(0, ['a', 'b', 'c'])
    await second.log(2, ['c', 'd', 'e'])
    const read = async (query: string) => {
      const { body } = await app.call<List<LogLine>>('GET', `/api/runs/${id}/log?${query}`)
      return [body.items.map(({ offset, text }) => `${offset} ${text}`), body.next]
    }
    assert.deepEqual(await read(''), [['0 a', '1 b', '2 c', '3 d', '4 e'], null])
    assert.deepEqual(await read('limit=2'), [['0 a', '1 b'], '1'])
    assert.deepEqual(await read('limit=3&after=1'), [['2 c', '3 d', '4 e'], null])
    assert.deepEqual(await read('after=4'), [[], null])
    assert.deepEqual(await read('attempt=1'), [['0 one'], null])
    assert.deepEqual(await read('attempt=3'), [[], null])
    const unknown = '01890a5d-ac96-774b-bcce-b302099a8057'
    assert.equal((await app.call('GET', `/api/runs/${unknown}/log`)).status, 404)
    for (const query of ['attempt=0', 'limit=5001', 'after=-1', 'after=x'])
      assert.equal((await app.call('GET', `/api/runs/${id}/log?${query}`)).status, 400, query)
  })
})
