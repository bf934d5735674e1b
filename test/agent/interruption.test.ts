import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { bootSession } from '#agent/boot-session.ts'
import { exec } from '#agent/exec.ts'
import { readDisks } from '#agent/inventory/disks.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { RunRequest } from '#protocol/run/run.ts'
import { createInventory } from '#test/support/inventory.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { openPhaseProxy, PHASES, type PhaseProxy } from '#test/support/phase-proxy.ts'
import { bootToken, queueRun, readRun } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const DISK_BYTES = 12 * CHUNK_BYTES
/** A call that never came is like a server that is away; one that came must not count twice. */
const AFTER_REQUEST = PHASES.slice(2)

/** The calls of an agent in either workflow. */
const CALLS: Record<'capture' | 'deploy', Record<string, RegExp>> = {
  capture: {
    hello: /^POST \/agent\/hello$/,
    missing: /^POST \/chunks\/missing$/,
    'a chunk': /^PUT \/chunks\//,
    commit: /^PUT \/api\/images\/.*\/manifest$/,
    report: /^POST \/agent\/runs\/.*\/reports$/,
    log: /^POST \/agent\/runs\/.*\/log$/,
    result: /^POST \/agent\/runs\/.*\/result$/,
  },
  deploy: {
    hello: /^POST \/agent\/hello$/,
    manifest: /^GET \/images\/by-digest\//,
    'a chunk': /^GET \/chunks\//,
    report: /^POST \/agent\/runs\/.*\/reports$/,
    result: /^POST \/agent\/runs\/.*\/result$/,
  },
}

describe('a connection that is cut', { skip: NEEDS_ROOT }, () => {
  let app: TestApp
  let proxy: PhaseProxy
  let source: LoopDevice
  let sourceDigest: string
  let count = 0
  before(async () => {
    app = await openTestApp({ env: { STAMPEDE_TRUST_RELAYED: '1' } })
    proxy = await openPhaseProxy(`http://127.0.0.1:${app.port}`)
    const content = randomBytes(DISK_BYTES)
    content.fill(0, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES)
    source = await openLoopDevice({ content })
    sourceDigest = await source.digest()
    await app.call('PUT', '/api/images/golden', content)
  })
  after(async () => {
    await source[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
    await app[Symbol.asyncDispose]()
  })

  /** One boot of a machine of its own with a run, all of it through the proxy. */
  async function boot(disk: LoopDevice, request: Partial<RunRequest>) {
    const mac = `52:54:00:00:09:${(++count).toString(16).padStart(2, '0')}`
    const { id } = await queueRun(app, mac, { ...request, disk: { path: disk.path } })
    const disks = (await readDisks(exec, [disk.path])).filter(({ path }) => path === disk.path)
    const token = await bootToken(app, mac)
    await bootSession({
      settings: { serverUrl: proxy.url, mac, bootToken: token },
      inventory: createInventory({ disks }),
      print: () => {},
      signal: AbortSignal.timeout(240_000),
    })
    return await readRun(app, id)
  }

  /** Breaks the first exchanges with each of the calls, one in each of several phases; says which were broken. */
  function breakCalls(calls: Record<string, RegExp>): () => string[] {
    const broken: string[] = []
    proxy.fault = ({ method, path }) => {
      const call = Object.keys(calls).find((name) => calls[name]!.test(`${method} ${path}`))
      const phases = call === 'a chunk' ? PHASES : AFTER_REQUEST
      const phase = phases[broken.filter((name) => name === call).length]
      if (call === undefined || phase === undefined) return undefined
      broken.push(call)
      return phase
    }
    return () => broken
  }

  it('anywhere does not hurt a capture, which sends nothing twice', async () => {
    const content = randomBytes(DISK_BYTES)
    content.copy(content, 7 * CHUNK_BYTES, 6 * CHUNK_BYTES, 7 * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content })
    const broken = breakCalls(CALLS.capture)
    const run = await boot(disk, { workflow: 'capture', image: 'captured' })
    assert.equal(run.state, 'succeeded', run.error ?? '')
    assert.equal(run.attempts, 1)
    assertAllBroken(broken(), CALLS.capture)
    assert.deepEqual(proxy.sentTwice, [])

    const { body } = await app.call<Image>('GET', '/api/images/captured')
    assert.equal(body.digest, run.receipt?.imageDigest)
    assert.match(body.info.source!, /^capture of 52:54/)
    const { body: imported } = await app.call<Image>('PUT', '/api/images/imported', content)
    assert.equal(imported.digest, body.digest)
  })

  it('while the answer to its inventory comes back ends no machine in an error', async () => {
    const mac = '52:54:00:00:0a:01'
    const token = await bootToken(app, mac)
    const broken = breakCalls({ hello: CALLS.capture['hello']! })
    const after = await bootSession({
      settings: { serverUrl: proxy.url, mac, bootToken: token },
      inventory: createInventory(),
      print: () => {},
      signal: AbortSignal.timeout(240_000),
    })
    assert.equal(after, 'reboot')
    assert.ok(broken().length > 0)
  })

  it('anywhere does not hurt a deployment', async () => {
    await using target = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const broken = breakCalls(CALLS.deploy)
    const options = { image: 'golden', grow: false, identity: 'keep' } as const
    const run = await boot(target, { workflow: 'deploy', ...options })
    assert.equal(run.state, 'succeeded', run.error ?? '')
    assert.equal(run.attempts, 1)
    assertAllBroken(broken(), CALLS.deploy)
    assert.equal(await target.digest(), sourceDigest)
  })

  function assertAllBroken(broken: string[], calls: Record<string, RegExp>): void {
    for (const call of Object.keys(calls))
      assert.ok(broken.includes(call), `No connection was cut at ${call}`)
  }
})
