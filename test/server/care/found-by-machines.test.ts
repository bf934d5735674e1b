import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { createHttpClient } from '#agent/http.ts'
import { createChunkClient } from '#agent/http-chunk-client.ts'
import type { Image } from '#protocol/image-info.ts'
import { diskContent, MIB } from '#test/support/disk-content.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { chunkHash, removeChunk, rot } from './care-lab.ts'

const DISK = diskContent({ chunks: 4 })
/** Random content, of which there is one. */
const HASH = chunkHash(DISK, 1)
const CONTENT = DISK.subarray(MIB, 2 * MIB)

const FAULTS = [
  { what: 'rotten', damage: rot },
  { what: 'gone', damage: removeChunk },
]

/** No scrub finds what a machine is to find. */
async function openApp(env: Record<string, string> = {}): Promise<TestApp> {
  const care = { STAMPEDE_SCRUB_HOURS: '0', STAMPEDE_RECOMPRESS: 'off' }
  const app = await openTestApp({ env: { ...care, STAMPEDE_TRUST_RELAYED: '1', ...env } })
  await app.call('PUT', '/api/images/golden', DISK)
  return app
}

/** As `stampede-agent deploy` does, of an operator. */
async function readByHand(app: TestApp): Promise<Buffer> {
  const http = createHttpClient({ serverUrl: `http://127.0.0.1:${app.port}`, token: ADMIN_TOKEN })
  return Buffer.from(await createChunkClient(http).read(HASH, AbortSignal.timeout(60_000)))
}

/** Reads the chunk as the agent of a machine does that the image is deployed to. */
async function readAsMachine(app: TestApp, mac: string): Promise<Buffer> {
  await queueRun(app, mac, { workflow: 'deploy', image: 'golden' })
  const { token } = await startAgent(app, mac)
  const http = createHttpClient({ serverUrl: `http://127.0.0.1:${app.port}`, token })
  return Buffer.from(await createChunkClient(http).read(HASH, AbortSignal.timeout(60_000)))
}

const damaged = async (app: TestApp) =>
  (await app.call<Image>('GET', '/api/images/golden')).body.damaged

for (const { what, damage } of FAULTS)
  describe(`a chunk that a machine finds ${what}`, () => {
    it('is looked into at once, so that its image takes the disk of no other machine', async () => {
      await using app = await openApp()
      await damage(join(app.dataFolder, 'store'), HASH)
      await assert.rejects(readAsMachine(app, '52:54:00:00:22:01'), new RegExp(HASH))
      assert.deepEqual(await damaged(app), { chunks: 1 })
      const next = { mac: '52:54:00:00:22:02', workflow: 'deploy', image: 'golden' }
      await app.call('PUT', `/api/machines/${next.mac}`, { name: 'next', locked: false })
      const { status } = await app.call('POST', '/api/runs', next)
      assert.equal(status, 409)
    })

    it('by hand is looked into alike', async () => {
      await using app = await openApp()
      await damage(join(app.dataFolder, 'store'), HASH)
      await assert.rejects(readByHand(app), new RegExp(HASH))
      assert.deepEqual(await damaged(app), { chunks: 1 })
    })

    it('comes from another place that has it, and the machine goes on', async () => {
      await using other = await openTestApp()
      await other.call('PUT', '/api/images/same', DISK)
      await using app = await openApp({
        STAMPEDE_HEAL_FROM: `http://127.0.0.1:${other.port}`,
        STAMPEDE_HEAL_TOKEN: ADMIN_TOKEN,
      })
      await damage(join(app.dataFolder, 'store'), HASH)
      assert.ok(CONTENT.equals(await readAsMachine(app, '52:54:00:00:22:01')))
      assert.equal(await damaged(app), undefined)
    })
  })
