import assert from 'node:assert/strict'
import { after, before, beforeEach, it } from 'node:test'
import type { Machine } from '#protocol/machine/machine.ts'
import { createListening } from '#server/runs/listening.ts'
import { tickRuns } from '#server/runs/moves.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { createInventory } from '#test/support/inventory.ts'
import { bootToken, hello, queueRun, readRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

describeOnEveryDatabase('agent routes', (_open, database) => {
  let app: TestApp
  let mac: string
  let count = 0
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())
  beforeEach(() => {
    mac = `52:54:00:00:02:${(++count).toString(16).padStart(2, '0')}`
  })

  const codeOf = (answer: { body: unknown }) =>
    (answer.body as { error: { code: string } }).error.code

  it('a run goes from hello over reports and log lines to its receipt', async () => {
    const { id } = await queueRun(app, mac, { workflow: 'inventory' })
    const agent = await startAgent(app, mac)
    assert.deepEqual(agent.run.steps, ['inventory'])
    assert.equal(agent.run.attempt, 1)
    assert.equal((await readRun(app, id)).state, 'running')

    const answer = await agent.report({ bytesDone: 5, bytesTotal: 10, bytesPerSecond: 1.5 })
    assert.deepEqual([answer.status, answer.body], [200, { cancel: false }])
    assert.equal((await agent.log(0, ['first', 'second'])).status, 204)
    assert.equal((await agent.log(1, ['second', 'third\0'])).status, 204)
    await agent.report({ state: 'succeeded', bytesDone: 10, bytesTotal: 10 })
    const receipt = {
      imageVerified: false,
      warnings: [],
      startedAt: app.clock.now().toISOString(),
      finishedAt: app.clock.now().toISOString(),
    }
    for (let i = 0; i < 2; i++) {
      const ended = await agent.result({ state: 'succeeded', receipt })
      assert.deepEqual([ended.status, ended.body.state], [200, 'succeeded'])
    }

    const run = await readRun(app, id)
    assert.partialDeepStrictEqual(run.receipt!, receipt)
    assert.equal(run.claimedBy, 'agent')
    assert.partialDeepStrictEqual(run.steps[0], { state: 'succeeded', bytesDone: 10 })
    assert.deepEqual(
      run.log.map(({ offset, text }) => [offset, text]),
      [
        [0, 'first'],
        [1, 'second'],
        [2, 'third\uFFFD'],
      ],
    )
  })

  it('a machine without a run is inventoried, and its cards become one machine', async () => {
    const other = mac.replace('52:54', '52:55')
    await bootToken(app, other) // its other card was seen first
    const inventory = createInventory({
      nics: [mac, other].map((nic) => ({ name: 'eth', mac: nic, link: true, addresses: [] })),
    })
    const answer = await hello(app, mac, await bootToken(app, mac), inventory)
    assert.equal(answer.body.run, null)
    const { body } = await app.call<Machine>('GET', `/api/machines/${other}`)
    assert.equal(body.mac, mac)
    assert.deepEqual(body.macs, [mac, other])
    assert.equal(body.state, 'ready')
    assert.deepEqual(body.inventory, inventory)
  })

  it('a machine never gets the run of another', async () => {
    const { id } = await queueRun(app, mac, { workflow: 'wipe' })
    const stranger = mac.replace('52:54', '52:56')
    const answer = await hello(app, stranger, await bootToken(app, stranger))
    assert.equal(answer.body.run, null)
    assert.equal((await readRun(app, id)).state, 'queued')
  })

  it('keeps of an inventory only what it knows, and what a database can hold', async () => {
    const inventory = createInventory({ smbios: { manufacturer: 'A\0B\ud800', serial: 'S' } })
    const strange = { ...inventory, ['unknown\0']: [['\0']] }
    const answer = await hello(app, mac, await bootToken(app, mac), strange)
    assert.equal(answer.status, 200)
    const { body } = await app.call<Machine>('GET', `/api/machines/${mac}`)
    assert.deepEqual(body.inventory?.smbios, { manufacturer: 'A\uFFFDB\uFFFD', serial: 'S' })
    assert.deepEqual(Object.keys(body.inventory).toSorted(), Object.keys(inventory).toSorted())
  })

  it('takes a boot token once, from its machine, for fifteen minutes', async () => {
    const token = await bootToken(app, mac)
    assert.equal((await hello(app, mac.replace('52:', '56:'), token)).status, 401)
    assert.equal((await hello(app, mac, token)).status, 200)

    await queueRun(app, mac)
    // Its answer may have got lost: there was no run then, and that token is good for none.
    const again = await hello(app, mac, token)
    assert.deepEqual([again.status, again.body.run], [200, null])
    assert.equal((await hello(app, mac, 'a'.repeat(43))).status, 401)
    const late = await bootToken(app, mac)
    app.clock.advance(15 * 60 + 1)
    assert.equal((await hello(app, mac, late)).status, 401)
  })

  it('answers a hello again whose answer was lost, until the first report of its attempt', async () => {
    const { id } = await queueRun(app, mac)
    const token = await bootToken(app, mac)
    const first = await hello(app, mac, token)
    assert.equal((await hello(app, mac.replace('52:', '56:'), token)).status, 401)
    const again = await Promise.all([hello(app, mac, token), hello(app, mac, token)])
    const tokens = [first, ...again].map(({ body }) => body.sessionToken)
    assert.equal(new Set(tokens).size, 3)
    for (const { status, body } of again)
      assert.deepEqual([status, body.run], [200, first.body.run])
    assert.equal((await readRun(app, id)).attempts, 1)

    const at = app.clock.now().toISOString()
    const figures = { bytesDone: 0, bytesTotal: 0, bytesPerSecond: 0 }
    const report = { attempt: 1, at, step: 'wipe-disk', state: 'running', ...figures }
    for (const [sequence, session] of tokens.entries()) {
      const url = `/agent/runs/${id}/reports`
      const answer = await app.call('POST', url, { ...report, sequence }, { token: session })
      assert.deepEqual([answer.status, answer.body], [200, { cancel: false }])
    }
    const late = await hello(app, mac, token)
    assert.deepEqual([late.status, codeOf(late)], [401, 'boot-token-invalid'])
    assert.equal((await readRun(app, id)).attempts, 1)
  })

  it('answers two equal hellos at once alike, and counts one attempt', async () => {
    const { id } = await queueRun(app, mac)
    const token = await bootToken(app, mac)
    const answers = await Promise.all([hello(app, mac, token), hello(app, mac, token)])
    for (const { status, body } of answers) assert.deepEqual([status, body.run?.attempt], [200, 1])
    assert.equal((await readRun(app, id)).attempts, 1)
  })

  it('answers no hello again after the next attempt began, the run ended, or fifteen minutes', async () => {
    const { id } = await queueRun(app, mac)
    const tokens = [await bootToken(app, mac), await bootToken(app, mac)] as const
    assert.equal((await hello(app, mac, tokens[0])).body.run?.attempt, 1)
    assert.equal((await hello(app, mac, tokens[1])).body.run?.attempt, 2)
    assert.equal((await hello(app, mac, tokens[0])).status, 401)
    assert.equal((await hello(app, mac, tokens[1])).body.run?.attempt, 2)
    app.clock.advance(15 * 60 + 1)
    assert.equal((await hello(app, mac, tokens[1])).status, 401)
    await app.tick()
    assert.equal((await readRun(app, id)).state, 'timed-out')
  })

  it('refuses another agent while one reported in the last minute, and keeps its token', async () => {
    await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await agent.report()
    const token = await bootToken(app, mac)
    app.clock.advance(59)
    const refused = await hello(app, mac, token)
    assert.deepEqual([refused.status, codeOf(refused)], [409, 'agent-active'])
    app.clock.advance(1)
    const accepted = await hello(app, mac, token)
    assert.equal(accepted.body.run?.attempt, 2)

    const old = await agent.report()
    assert.deepEqual([old.status, codeOf(old)], [409, 'old-attempt'])
    assert.equal((await agent.result({ state: 'failed', error: 'late' })).status, 409)
  })

  it('answers a repeated report as before, and changes nothing', async () => {
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await agent.report({ sequence: 7, bytesDone: 70 })
    const repeated = await agent.report({ sequence: 7, bytesDone: 0 })
    assert.deepEqual([repeated.status, repeated.body], [200, { cancel: false }])
    assert.equal((await readRun(app, id)).steps[0]?.bytesDone, 70)
  })

  it('fails a run that was booted three times and never finished', async () => {
    const { id } = await queueRun(app, mac)
    for (let attempt = 1; attempt <= 3; attempt++) {
      assert.equal((await startAgent(app, mac)).run.attempt, attempt)
    }
    const script = await app.call<string>('GET', `/boot/${mac}.ipxe`, undefined, { token: null })
    assert.match(script.body, /Booted 3 times, never finished/)
    assert.match(script.body, /sanboot/)
    const run = await readRun(app, id)
    assert.deepEqual([run.state, run.error], ['failed', 'Booted 3 times, never finished'])
  })

  it('fails the run when another machine answers under the MAC, before it hears of the run', async () => {
    await hello(app, mac, await bootToken(app, mac))
    const { id } = await queueRun(app, mac)
    const other = createInventory({ smbios: { uuid: '11111111-2222-3333-4444-555555555555' } })
    const answer = await hello(app, mac, await bootToken(app, mac), other)
    assert.deepEqual([answer.status, codeOf(answer)], [409, 'other-machine'])
    const run = await readRun(app, id)
    assert.equal(run.state, 'failed')
    assert.match(run.error ?? '', /11111111-2222-3333-4444-555555555555/)
  })

  it('goes on with the run of a machine at work when another one boots with its MAC', async () => {
    await hello(app, mac, await bootToken(app, mac))
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await agent.report()
    const clone = createInventory({ smbios: { uuid: '11111111-2222-3333-4444-555555555555' } })
    const refused = await hello(app, mac, await bootToken(app, mac), clone)
    assert.deepEqual([refused.status, codeOf(refused)], [409, 'other-machine'])
    assert.deepEqual((await agent.report()).body, { cancel: false })
    assert.equal((await readRun(app, id)).state, 'running')
  })

  it('does not take what vendors forgot to fill in for an identity', async () => {
    await hello(app, mac, await bootToken(app, mac))
    await queueRun(app, mac)
    const dummies = { uuid: 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', serial: 'Default string' }
    const inventory = createInventory({ smbios: dummies })
    assert.equal((await hello(app, mac, await bootToken(app, mac), inventory)).status, 200)
  })

  it('a cancelled run tells its agent at the next report', async () => {
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    assert.equal((await app.call('POST', `/api/runs/${id}/cancel`)).status, 200)
    assert.equal((await readRun(app, id)).state, 'running')
    assert.deepEqual((await agent.report()).body, { cancel: true })
    assert.equal((await readRun(app, id)).state, 'cancelled')
    assert.deepEqual((await agent.report({ sequence: 0 })).body, { cancel: true })
    assert.equal((await agent.result({ state: 'cancelled' })).status, 200)
    assert.equal((await agent.log(0, ['stopped'])).status, 204)
  })

  it('a silent agent is cancelled after a minute and timed out after ten', async () => {
    const cancelled = await queueRun(app, mac)
    await startAgent(app, mac)
    await app.call('POST', `/api/runs/${cancelled.id}/cancel`)
    app.clock.advance(59)
    await app.tick()
    assert.equal((await readRun(app, cancelled.id)).state, 'running')
    app.clock.advance(1)
    await app.tick()
    assert.equal((await readRun(app, cancelled.id)).state, 'cancelled')

    const silent = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    app.clock.advance(300)
    await agent.report()
    app.clock.advance(599)
    await app.tick()
    const heard = await readRun(app, silent.id)
    assert.equal(heard.state, 'running')
    // A list of machines tells the silence as the run does.
    const machine = (await app.call('GET', `/api/machines/${mac}`)).body as Machine
    const { claimedBy, lastReportAt, timesOutAt } = heard
    assert.partialDeepStrictEqual(machine.run, { claimedBy, lastReportAt, timesOutAt })
    assert.notEqual(lastReportAt, null)
    app.clock.advance(1)
    await app.tick()
    const run = await readRun(app, silent.id)
    assert.equal(run.state, 'timed-out')
    assert.match(run.error ?? '', /No report for 10 minutes/)
    const late = await agent.report()
    assert.deepEqual([late.status, codeOf(late)], [409, 'run-over'])
  })

  for (const [where, seconds] of [
    ['forward', 86_400],
    ['back', -86_400],
  ] as const)
    it(`a clock that is set ${where} ends no run but those that are silent ten minutes more`, async () => {
      const { id } = await queueRun(app, mac)
      const agent = await startAgent(app, mac)
      await agent.report()
      app.clock.set(seconds)
      await app.tick()
      assert.equal((await readRun(app, id)).state, 'running')
      app.clock.advance(599)
      await agent.report()
      app.clock.advance(599)
      await app.tick()
      assert.equal((await readRun(app, id)).state, 'running')
      app.clock.set(seconds)
      await app.tick()
      app.clock.advance(599)
      await app.tick()
      assert.equal((await readRun(app, id)).state, 'running')
      app.clock.advance(1)
      await app.tick()
      assert.equal((await readRun(app, id)).state, 'timed-out')
    })

  for (const aheadSeconds of [900, -900])
    it(`a server whose clock is ${aheadSeconds} s ahead ends no run that another one hears`, async () => {
      const { id } = await queueRun(app, mac)
      const agent = await startAgent(app, mac)
      const { db } = app.database
      let seconds = 0
      const look = createListening(
        () => new Date(app.clock.now().getTime() + aheadSeconds * 1000),
        () => seconds * 1000,
      )
      const tick = async (after: number) => {
        app.clock.advance(after)
        seconds += after
        await app.tick()
        await tickRuns(db, look())
      }
      for (let looks = 0; looks < 4; looks++) {
        app.clock.advance(300)
        seconds += 300
        await agent.report({ bytesDone: looks })
        await tick(100)
      }
      assert.equal((await readRun(app, id)).state, 'running')
    })

  it('a run that another server hears between the look at it and its end goes on', async () => {
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await app.tick()
    await endSilent(app, async () => {
      app.clock.advance(1)
      await agent.report()
      await app.tick()
    })
    const heard = await readRun(app, id)
    assert.deepEqual([heard.state, heard.lastReportAt], ['running', app.clock.now().toISOString()])
  })

  it('a result that comes between the look at a silent run and its end holds, and no other is told of', async () => {
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    const told = await endSilent(app, async () => {
      // A result that is told again changes nothing.
      await agent.result({ state: 'failed', error: 'No disk' })
    })
    assert.equal(told.map((run) => run.id).includes(id), false)
    const { state, error } = await readRun(app, id)
    assert.deepEqual([state, error], ['failed', 'No disk'])
  })

  it('a token is good for its own run only', async () => {
    const first = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    const other = await queueRun(app, mac.replace('52:', '56:'))
    const url = `/agent/runs/${other.id}/result`
    const answer = await app.call('POST', url, { state: 'failed' }, { token: agent.token })
    assert.deepEqual([answer.status, codeOf(answer)], [403, 'other-run'])
    const asAdmin = await app.call('POST', `/agent/runs/${first.id}/result`, { state: 'failed' })
    assert.equal(asAdmin.status, 403)
    const list = await app.call('GET', '/api/runs', undefined, { token: agent.token })
    assert.equal(list.status, 403)
  })

  it('a failed run says why, and its unfinished steps say how far they got', async () => {
    const { id } = await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    await agent.report({ step: 'wipe-disk', bytesDone: 3, bytesTotal: 9 })
    await agent.result({ state: 'failed', error: 'Disk "vda" went away' })
    const run = await readRun(app, id)
    assert.equal(run.error, 'Disk "vda" went away')
    assert.deepEqual(
      run.steps.map(({ name, state, bytesDone }) => [name, state, bytesDone]),
      [
        ['check-machine', 'skipped', 0],
        ['wipe-disk', 'failed', 3],
      ],
    )
    const machine = await app.call<Machine>('GET', `/api/machines/${mac}`)
    assert.equal(machine.body.state, 'failed')
  })

  it('counters beyond 32 bits are refused', async () => {
    await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    assert.equal((await agent.report({ sequence: 2 ** 31 })).status, 400)
    assert.equal((await agent.log(2 ** 31, ['x'])).status, 400)
  })
})

/**
 * What a server ends whose clock is ahead, once it heard nothing for as long as ends a run; `meanwhile`
 * happens between its look at a run and that run's end.
 */
async function endSilent(app: TestApp, meanwhile: () => Promise<void>) {
  const { db } = app.database
  // A clock of its own: the app looks after runs by itself, too, and by its clock nothing is silent.
  const start = app.clock.now().getTime() + 900_000
  let seconds = 0
  const look = createListening(
    () => new Date(start + seconds * 1000),
    () => seconds * 1000,
  )
  await tickRuns(db, look())
  seconds = 599
  await tickRuns(db, look())
  seconds = 600
  const interrupted = new Proxy(db, {
    get(target, key, receiver) {
      if (key !== 'transaction') return Reflect.get(target, key, receiver) as unknown
      return async (work: Parameters<typeof db.transaction>[0]) => {
        await meanwhile()
        return await target.transaction(work)
      }
    },
  })
  return await tickRuns(interrupted, look())
}
