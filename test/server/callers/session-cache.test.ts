import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, it } from 'node:test'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, startAgent, type TestAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

/** Shorter than a session is kept: it is its run that ends it. */
const DEADLINE_MILLISECONDS = 60_000

describeOnEveryDatabase("an agent's session", (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())

  const ask = async ({ token }: TestAgent) => {
    const body = { sha256: ['a'.repeat(64)] }
    return (await app.call('POST', '/chunks/missing', body, { token })).status
  }

  async function untilRefused(agent: TestAgent): Promise<void> {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    while ((await ask(agent)) !== 401) {
      assert.ok(Date.now() < deadline, 'It outlived its run')
      await sleep(20)
    }
  }

  it('dies with its run', async () => {
    const mac = '52:54:00:00:08:01'
    await queueRun(app, mac, { workflow: 'capture', image: 'one' })
    const agent = await startAgent(app, mac)
    assert.equal(await ask(agent), 200)
    await agent.result({ state: 'failed', error: 'x' })
    await untilRefused(agent)
  })

  it('dies when the next attempt begins', async () => {
    const mac = '52:54:00:00:08:02'
    await queueRun(app, mac, { workflow: 'capture', image: 'two' })
    const first = await startAgent(app, mac)
    assert.equal(await ask(first), 200)
    const second = await startAgent(app, mac)
    await untilRefused(first)
    assert.equal(await ask(second), 200)
  })
})
