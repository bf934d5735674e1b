import assert from 'node:assert/strict'
import { it } from 'node:test'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp } from '#test/support/test-app.ts'

const OPERATORS = 10
const CALLS = 15
const MACS = Array.from({ length: 6 }, (_, index) => `52:54:00:00:09:0${index}`)

describeOnEveryDatabase('many operators at once', (_open, kind) => {
  it('never make the server wait for itself', async () => {
    const failures: string[] = []
    await using app = await openTestApp({
      database: kind,
      onLog: (line) => {
        if ((JSON.parse(line) as { level: number }).level >= ERROR) failures.push(line)
      },
    })
    for (const mac of MACS) await app.call('PUT', `/api/machines/${mac}`, {})

    const calls: ((mac: string, number: number) => Promise<{ status: number }>)[] = [
      (mac, number) => app.call('PATCH', `/api/machines/${mac}`, { tags: [`tag ${number}`] }),
      (mac, number) =>
        app.call('PATCH', '/api/machines', {
          macs: [mac, ...MACS.filter((other) => other !== mac).slice(0, 3)],
          set: { addTags: [`bulk ${number}`] },
        }),
      (mac) => app.call('POST', '/api/runs', { mac, workflow: 'inventory' }),
      cancelOne,
      (mac, number) => app.call('PUT', `/api/machines/${mac}`, { name: `name ${number}` }),
    ]
    async function cancelOne() {
      const { body } = await app.call<{ items: { id: string }[] }>('GET', '/api/runs?active=true')
      const run = body.items[0]
      return run ? app.call('POST', `/api/runs/${run.id}/cancel`) : { status: 200 }
    }
    async function operate(operator: number): Promise<number[]> {
      const statuses: number[] = []
      for (let number = 0; number < CALLS; number++) {
        const call = calls[(operator + number * 3) % calls.length]!
        const mac = MACS[(operator * 5 + number) % MACS.length]!
        statuses.push((await call(mac, number)).status)
      }
      return statuses
    }
    const answers = await Promise.all(
      Array.from({ length: OPERATORS }, (_, index) => operate(index)),
    )
    // A run that is there already, or over already, is refused; nothing fails.
    const expected = new Set([200, 201, 409])
    assert.deepEqual(
      answers.flat().filter((status) => !expected.has(status)),
      [],
    )
    assert.deepEqual(failures, [])
  })
})

/** pino's number of the level. */
const ERROR = 50
