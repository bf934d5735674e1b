import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openFreshDatabase } from '#test/support/database.ts'
import { openEventStream } from '#test/support/event-stream.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp } from '#test/support/test-app.ts'

describe('two servers on one Postgres', () => {
  it('share machines, runs, agents, events and progress', async () => {
    await using fresh = await openFreshDatabase('postgres')
    assert.equal(fresh.config.kind, 'postgres')
    const env = { DATABASE_URL: fresh.config.url, STAMPEDE_TRUST_RELAYED: '1' }
    await using one = await openTestApp({ env })
    await using other = await openTestApp({ env })
    await using stream = await openEventStream(other)
    const mac = '52:54:00:00:07:01'
    const { id } = await queueRun(one, mac)
    await stream.until(({ event, data }) => event === 'run' && data['id'] === id)
    const agent = await startAgent(one, mac)
    const url = `/agent/runs/${id}/reports`
    const report = {
      attempt: 1,
      sequence: 0,
      at: one.clock.now().toISOString(),
      step: 'wipe-disk',
      state: 'running',
      bytesDone: 7,
      bytesTotal: 9,
      bytesPerSecond: 1,
    }
    const answer = await other.call('POST', url, report, { token: agent.token })
    assert.equal(answer.status, 200)
    await agent.report({ step: 'wipe-disk', sequence: 1, bytesDone: 8 })
    await stream.until(({ event, data }) => event === 'progress' && data['bytesDone'] === 8)
  })
})
