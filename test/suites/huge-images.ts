import assert from 'node:assert/strict'
import { after, before, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Image } from '#protocol/image/image-info.ts'
import { putHugeImage } from '#test/support/huge-image.ts'
import { openProcessMemory, type ProcessMemory } from '#test/support/process-memory.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'

/** What the server may take more than when it is idle, whatever the size of the image. */
const MAX_GROWTH_BYTES = 200 * 1024 ** 2
const RANGE_BYTES = 8 * 1024 ** 2
const COUNT_SECONDS = 600

/** A server with an image of that many segments, of 32,768 chunks each: its memory stays within bounds. */
export function testHugeImage(segmentCount: number): void {
  let server: ServerProcess
  let memory: ProcessMemory
  let idleBytes = 0
  before(async () => {
    server = await openServerProcess()
    memory = openProcessMemory(server.pid())
    // A server that has done nothing yet has not even loaded the code that it will.
    await call('PUT', '/api/images/small/manifest', await putHugeImage(put, 1))
    await exportParts('small')
    // What starting took is not given back at once.
    await sleep(3000)
    memory.forgetPeak()
    idleBytes = memory.bytes()
  })
  after(() => server[Symbol.asyncDispose]())

  async function call(method: string, path: string, body?: Uint8Array, more = {}) {
    const headers = { authorization: `Bearer ${server.token}`, ...more }
    const init = { method, headers, ...(body && { body: body as Uint8Array<ArrayBuffer> }) }
    const response = await fetch(`${server.url}${path}`, init)
    assert.ok(response.ok, `${method} ${path}: ${response.status}`)
    return response
  }

  const put = async (path: string, body: Uint8Array) => void (await call('PUT', path, body))

  async function exportParts(name: string): Promise<void> {
    const head = await call('HEAD', `/images/${name}.img.gz`)
    const totalBytes = Number(head.headers.get('content-length'))
    for (const part of [0, 0.37, 0.999]) {
      const start = Math.floor(totalBytes * part)
      const range = `bytes=${start}-${Math.min(totalBytes, start + RANGE_BYTES) - 1}`
      const answer = await call('GET', `/images/${name}.img.gz`, undefined, { range })
      assert.ok((await answer.arrayBuffer()).byteLength > 0)
    }
  }

  function assertModest(test: TestContext): void {
    const mib = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`
    const grown = memory.peakBytes() - idleBytes
    test.diagnostic(`${mib(grown)} more than the ${mib(idleBytes)} of an idle server`)
    assert.ok(grown < MAX_GROWTH_BYTES, `It took ${mib(grown)} more than an idle server`)
  }

  it('commits it', async (test) => {
    const manifest = await putHugeImage(put, segmentCount)
    const answer = await call('PUT', '/api/images/huge/manifest', manifest)
    const image = (await answer.json()) as Image
    assert.equal(image.contentBytes, image.sizeBytes)
    assertModest(test)
  })

  it('counts what it shares, and sweeps', async (test) => {
    const deadline = Date.now() + COUNT_SECONDS * 1000
    for (;;) {
      const image = (await (await call('GET', '/api/images/huge')).json()) as Image
      if (image.uniqueBytes !== null) break
      assert.ok(Date.now() < deadline, 'It was not counted')
      await sleep(200)
    }
    assertModest(test)
  })

  it('exports any part of it', async (test) => {
    await exportParts('huge')
    assertModest(test)
  })
}
