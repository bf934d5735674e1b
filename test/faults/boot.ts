import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Run } from '#protocol/run/run.ts'
import type { Outcome } from './cell.ts'
import { GOLDEN, type FaultLab } from './fault-lab.ts'
import { assertSame, assertSentence } from './outcome.ts'

const AGENT = join(import.meta.dirname, 'boot-agent.ts')
const DEADLINE_MILLISECONDS = 240_000
/** The server of the lab must believe whoever asks for a script. */
export const BOOT_ENV = { STAMPEDE_TRUST_RELAYED: '1' }

export type LoggedRun = Run & { log: { offset: number; text: string }[] }
let count = 0

/** Queues a deployment of `golden` on a machine of its own, which boots and does it through the proxy. */
export async function bootAndDeploy(lab: FaultLab): Promise<LoggedRun> {
  const mac = `52:54:00:00:0a:${(++count).toString(16).padStart(2, '0')}`
  const json = async (method: string, path: string, body?: object) => {
    const answer = await lab.call(method, path, body && JSON.stringify(body))
    assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
    return answer
  }
  await json('PUT', `/api/machines/${mac}`, {})
  const options = { image: GOLDEN, grow: false, identity: 'keep', disk: { path: lab.disk.path } }
  const request = { mac, workflow: 'deploy', ...options }
  const { id } = (await (await json('POST', '/api/runs', request)).json()) as Run
  const script = await (await json('GET', `/boot/${mac}.ipxe`)).text()
  const token = /stampede\.token=(\S+)/.exec(script)![1]!
  const args = [AGENT, lab.proxy.url, mac, token, lab.disk.path]
  const agent = spawn(process.execPath, args, { stdio: 'ignore', timeout: DEADLINE_MILLISECONDS })
  await once(agent, 'exit') // the run says how
  return (await (await json('GET', `/api/runs/${id}`)).json()) as LoggedRun
}

/** Of what the server says of the run, and of the disk. */
export function judgeRun(lab: FaultLab, run: LoggedRun): Outcome {
  if (run.state === 'succeeded') {
    assert.equal(run.receipt?.imageVerified, true)
    assertSame(lab.disk.content, lab.golden, 'The run succeeded, and the disk is not the image')
    return 'verified'
  }
  assert.ok(run.state === 'failed' || run.state === 'timed-out', `The run is ${run.state}`)
  assertSentence(run.error ?? '')
  return lab.judgeSilent()
}
