import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openDatabase } from '#server/db/open-database.ts'
import { findRun } from '#server/db/runs/runs.ts'
import { describeOnEveryDatabase, openFreshDatabase } from '#test/support/database.ts'
import { queueRun, readRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const MAC = '52:54:00:00:0a:01'
const STEP = 'wipe-disk'
const env = { STAMPEDE_TRUST_RELAYED: '1' }

async function startWipe(app: TestApp) {
  const { id } = await queueRun(app, MAC)
  const agent = await startAgent(app, MAC)
  await agent.report({ step: STEP })
  const progress = (bytesDone: number) => agent.report({ step: STEP, bytesDone, bytesTotal: 100 })
  const stored = async () =>
    (await findRun(app.database.db, id))!.steps.find(({ name }) => name === STEP)!
  return { id, agent, progress, stored }
}

describeOnEveryDatabase('reports of progress', (_open, database) => {
  it('are read back at once, though they are saved together later', async () => {
    await using app = await openTestApp({ database, env })
    const { id, progress, stored } = await startWipe(app)
    for (const bytesDone of [10, 20, 30]) {
      assert.deepEqual((await progress(bytesDone)).body, { cancel: false })
      const step = (await readRun(app, id)).steps.find(({ name }) => name === STEP)!
      assert.equal(step.bytesDone, bytesDone)
    }
    await app.tick()
    assert.equal((await stored()).bytesDone, 30)
  })

  it('come before what ends their step, and leave an ended one alone', async () => {
    await using app = await openTestApp({ database, env })
    const { id, agent, progress, stored } = await startWipe(app)
    await progress(40)
    await agent.report({ step: STEP, state: 'succeeded', bytesDone: 100, bytesTotal: 100 })
    assert.equal((await stored()).state, 'succeeded')
    const late = await agent.report({ step: STEP, sequence: 1, bytesDone: 1 })
    assert.deepEqual([late.status, late.body], [200, { cancel: false }])
    await app.tick()
    assert.deepEqual((({ state, bytesDone }) => [state, bytesDone])(await stored()), [
      'succeeded',
      100,
    ])
    await agent.result({ state: 'failed', error: 'x' })
    assert.equal((await readRun(app, id)).state, 'failed')
  })

  it('a run that fails says how far its step had got a moment before', async () => {
    await using app = await openTestApp({ database, env })
    const { agent, progress, stored } = await startWipe(app)
    await progress(70)
    await agent.result({ state: 'failed', error: 'x' })
    assert.deepEqual((({ state, bytesDone }) => [state, bytesDone])(await stored()), ['failed', 70])
  })

  it('hear of a cancel at once, and of another attempt', async () => {
    await using app = await openTestApp({ database, env })
    const { id, agent, progress } = await startWipe(app)
    await progress(10)
    app.clock.advance(61)
    await startAgent(app, MAC)
    assert.equal((await progress(20)).status, 409)
    await app.call('POST', `/api/runs/${id}/cancel`)
    assert.equal((await agent.report({ step: STEP, attempt: 2 })).status, 200)
    assert.equal((await readRun(app, id)).state, 'cancelled')
  })

  it('keep a run from timing out before they are saved', async () => {
    await using app = await openTestApp({ database, env })
    const { id, progress } = await startWipe(app)
    app.clock.advance(590)
    await progress(10)
    app.clock.advance(590)
    await app.tick()
    assert.equal((await readRun(app, id)).state, 'running')
    app.clock.advance(20)
    await app.tick()
    assert.equal((await readRun(app, id)).state, 'timed-out')
  })
})

describe('a server that stops', () => {
  it('saves the progress that it was told of', async () => {
    await using fresh = await openFreshDatabase('postgres')
    assert.equal(fresh.config.kind, 'postgres')
    let id: string
    {
      await using app = await openTestApp({ env: { ...env, DATABASE_URL: fresh.config.url } })
      const wipe = await startWipe(app)
      id = wipe.id
      await wipe.progress(55)
    }
    await using database = await openDatabase(fresh.config)
    const run = await findRun(database.db, id)
    assert.equal(run?.steps.find(({ name }) => name === STEP)?.bytesDone, 55)
  })
})
