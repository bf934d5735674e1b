import assert from 'node:assert/strict'
import type { AgentRun, HelloAnswer, Report, Result } from '#protocol/run/agent.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Run, RunRequest } from '#protocol/run/run.ts'
import { createInventory } from './inventory.ts'
import type { Answer, TestApp } from './test-app.ts'

/** Boots a machine as iPXE would; the app must trust relayed askers. Returns its boot token. */
export async function bootToken(app: TestApp, mac: string): Promise<string> {
  const url = `/boot/${mac}.ipxe`
  const { body } = await app.call<string>('GET', url, undefined, { token: null })
  const token = /stampede\.token=(\S+)/.exec(body)?.[1]
  assert.ok(token, body)
  return token
}

export function hello(
  app: TestApp,
  mac: string,
  token: string,
  inventory: Inventory = createInventory(),
): Promise<Answer<HelloAnswer>> {
  const body = { bootToken: token, mac, inventory }
  return app.call<HelloAnswer>('POST', '/agent/hello', body, { token: null })
}

/** Enters the machine and queues a run on it. */
export async function queueRun(
  app: TestApp,
  mac: string,
  request: Partial<RunRequest> = {},
): Promise<Run> {
  await app.call('PUT', `/api/machines/${mac}`, {})
  const answer = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'wipe', ...request })
  assert.equal(answer.status, 201, JSON.stringify(answer.body))
  return answer.body
}

export interface TestAgent {
  token: string
  run: AgentRun
  report: (changes?: Partial<Report>) => Promise<Answer<{ cancel: boolean }>>
  log: (offset: number, lines: string[]) => Promise<Answer>
  result: (body: Result) => Promise<Answer<Run>>
}

/** An agent that booted, said hello and got its run. */
export async function startAgent(
  app: TestApp,
  mac: string,
  inventory?: Inventory,
): Promise<TestAgent> {
  const answer = await hello(app, mac, await bootToken(app, mac), inventory)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  const { sessionToken: token, run } = answer.body
  assert.ok(run)
  const post = <Body>(call: string, body: unknown) =>
    app.call<Body>('POST', `/agent/runs/${run.id}/${call}`, body, { token })
  let sequence = 0
  return {
    token,
    run,
    report: (changes) =>
      post('reports', {
        attempt: run.attempt,
        sequence: sequence++,
        at: app.clock.now().toISOString(),
        step: run.steps[0]!,
        state: 'running',
        bytesDone: 0,
        bytesTotal: 0,
        bytesPerSecond: 0,
        ...changes,
      }),
    log: (offset, lines) =>
      post('log', {
        offset,
        lines: lines.map((text) => ({ at: app.clock.now().toISOString(), text })),
      }),
    result: (body) => post('result', body),
  }
}

export async function readRun(app: TestApp, id: string) {
  const { body } = await app.call<Run & { log: { offset: number; text: string }[] }>(
    'GET',
    `/api/runs/${id}`,
  )
  return body
}
