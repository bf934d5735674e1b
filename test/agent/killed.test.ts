import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec } from '#agent/exec.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { openPhaseProxy, type PhaseProxy } from '#test/support/phase-proxy.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'

const MAIN = resolve(import.meta.dirname, '../../agent/main.ts')
const CHUNKS = 96
const DEADLINE_MILLISECONDS = 240_000

describe('a capture whose', { skip: NEEDS_ROOT }, () => {
  let server: ServerProcess
  let proxy: PhaseProxy
  let source: LoopDevice
  before(async () => {
    server = await openServerProcess()
  })
  after(() => server[Symbol.asyncDispose]())

  async function open(): Promise<AsyncDisposable> {
    await using opened = new AsyncDisposableStack()
    proxy = opened.use(await openPhaseProxy(server.url))
    source = opened.use(await openLoopDevice({ content: randomBytes(CHUNKS * CHUNK_BYTES) }))
    return opened.move()
  }

  function capture() {
    const args = ['--disk', source.path, '--server', proxy.url, '--image', 'golden']
    const child = spawn(process.execPath, [MAIN, 'capture', ...args], {
      env: { ...process.env, STAMPEDE_TOKEN: server.token },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => (output.stdout += String(text)))
    child.stderr.on('data', (text) => (output.stderr += String(text)))
    const ended = once(child, 'close').then(([exitCode]) => ({ exitCode, ...output }))
    return { child, ended, output }
  }

  /** Waits until the server has that many chunks, and a part of the disk is still to come. */
  async function untilStored(count: number): Promise<void> {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    while (proxy.stored.size < count) {
      assert.ok(Date.now() < deadline, `Only ${proxy.stored.size} chunks came`)
      await sleep(2)
    }
    assert.ok(proxy.stored.size < CHUNKS, 'It was too quick')
  }

  async function getImage(): Promise<Partial<Image>> {
    const headers = { authorization: `Bearer ${server.token}` }
    const response = await fetch(`${server.url}/api/images/golden`, { headers })
    return (await response.json()) as Partial<Image>
  }

  it('server is killed again and again goes on, and sends no chunk twice', async () => {
    await using _ = await open()
    const { child, ended, output } = capture()
    for (const count of [10, 50]) {
      await untilStored(count)
      await server.kill()
      assert.notEqual((await getImage().catch(() => ({ name: 'away' }))).name, 'golden')
      // It is said only of a server that is away for a while.
      while (!output.stderr.includes('Waiting for the server') && child.exitCode === null)
        await sleep(20)
      await server.start()
    }
    const { exitCode, stdout, stderr } = await ended
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /Waiting for the server/)
    assert.match(stderr, /The server answers again/)
    assert.deepEqual(proxy.sentTwice, [])
    const { imageDigest } = JSON.parse(stdout) as { imageDigest: string }
    assert.equal((await getImage()).digest, imageDigest)
  })

  it('agent is killed leaves no half an image, and the next one sends only the rest', async () => {
    await using _ = await open()
    const before = await getImage()
    const first = capture()
    await untilStored(30)
    first.child.kill('SIGKILL')
    await first.ended
    // What the server still stores of it, the next one would send again.
    while (proxy.underWay() > 0) await sleep(2)
    // A machine that lost its power comes back writable; a loop device stays as it was set.
    await exec('blockdev', ['--setrw', source.path])
    assert.deepEqual(await getImage(), before)

    const { exitCode, stdout, stderr } = await capture().ended
    assert.equal(exitCode, 0, stderr)
    assert.deepEqual(proxy.sentTwice, [])
    const { imageDigest, bytesSent } = JSON.parse(stdout) as Record<string, number>
    assert.equal((await getImage()).digest, imageDigest)
    assert.ok(bytesSent! < (CHUNKS - 29) * CHUNK_BYTES)
  })
})
