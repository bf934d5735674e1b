import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ImageDamagedError } from '#agent/chunks/chunk-client.ts'
import { createHttpClient } from '#agent/client/http.ts'
import { createChunkClient } from '#agent/client/http-chunk-client.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { Manifest } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
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

async function readChunk(app: TestApp, token: string): Promise<Buffer> {
  const http = createHttpClient({ serverUrl: `http://127.0.0.1:${app.port}`, token })
  return Buffer.from(await createChunkClient(http).read(HASH, AbortSignal.timeout(60_000)))
}

/** Asks for the manifest as the agent does before it writes; what the server says against it. */
async function askToWrite(app: TestApp, token: string): Promise<string | undefined> {
  const http = createHttpClient({ serverUrl: `http://127.0.0.1:${app.port}`, token })
  const { digest } = (await app.call<Image>('GET', '/api/images/golden')).body
  const signal = AbortSignal.timeout(60_000)
  try {
    await createChunkClient(http).manifest(parseSha256(digest), signal, { isToBeWritten: true })
    return undefined
  } catch (err) {
    assert.ok(err instanceof ImageDamagedError, String(err))
    return err.message
  }
}

/** Reads the chunk as the agent of a machine does that the image is deployed to. */
async function readAsMachine(app: TestApp, mac: string): Promise<Buffer> {
  await queueRun(app, mac, { workflow: 'deploy', image: 'golden' })
  const { token } = await startAgent(app, mac)
  return await readChunk(app, token)
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

    it('by `stampede-agent deploy`, of an operator, is looked into alike', async () => {
      await using app = await openApp()
      await damage(join(app.dataFolder, 'store'), HASH)
      await assert.rejects(readChunk(app, ADMIN_TOKEN), new RegExp(HASH))
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

describe('an image whose chunks are not all there', () => {
  const MACS = ['52:54:00:00:22:01', '52:54:00:00:22:02']

  /** Booted and told to deploy, before anybody knew. */
  async function startMachines(app: TestApp): Promise<string[]> {
    const tokens: string[] = []
    for (const mac of MACS) {
      await queueRun(app, mac, { workflow: 'deploy', image: 'golden' })
      tokens.push((await startAgent(app, mac)).token)
    }
    return tokens
  }

  for (const { what, hash } of [
    { what: 'a chunk', hash: async () => HASH },
    { what: 'a segment', hash: segmentHash },
  ])
    it(`is given to no machine that asks before it writes: ${what}`, async () => {
      await using app = await openApp()
      const tokens = await startMachines(app)
      await removeChunk(join(app.dataFolder, 'store'), await hash(app))
      for (const token of [...tokens, ADMIN_TOKEN])
        assert.match((await askToWrite(app, token))!, /lacks a chunk that .*; nothing was written$/)
      assert.deepEqual(await damaged(app), { chunks: 1 })
    })

  it('is refused as soon as a machine found a chunk rotten, though all were there when it was looked', async () => {
    await using app = await openApp()
    const [first, second] = await startMachines(app)
    assert.equal(await askToWrite(app, first!), undefined)
    await rot(join(app.dataFolder, 'store'), HASH)
    await assert.rejects(readChunk(app, first!), new RegExp(HASH))
    assert.match((await askToWrite(app, second!))!, /lacks a chunk/)
  })

  it('is whole again where another place has it, and given to all', async () => {
    await using other = await openTestApp()
    await other.call('PUT', '/api/images/same', DISK)
    await using app = await openApp({
      STAMPEDE_HEAL_FROM: `http://127.0.0.1:${other.port}`,
      STAMPEDE_HEAL_TOKEN: ADMIN_TOKEN,
    })
    const [token] = await startMachines(app)
    await removeChunk(join(app.dataFolder, 'store'), HASH)
    assert.equal(await askToWrite(app, token!), undefined)
    assert.ok(CONTENT.equals(await readChunk(app, token!)))
    assert.equal(await damaged(app), undefined)
  })

  for (const suffix of ['.img.gz', '.img.zst', '.img', '.qcow2'])
    it(`is not sent up to where it ends either: ${suffix}`, async () => {
      await using app = await openApp()
      await removeChunk(join(app.dataFolder, 'store'), HASH)
      const { status } = await app.call('GET', `/images/golden${suffix}`)
      assert.equal(status, 409)
      assert.deepEqual(await damaged(app), { chunks: 1 })
    })

  it('can still be compared with', async () => {
    await using app = await openApp()
    await removeChunk(join(app.dataFolder, 'store'), HASH)
    const { digest } = (await app.call<Image>('GET', '/api/images/golden')).body
    assert.equal((await app.call('GET', `/images/by-digest/${digest}`)).status, 200)
  })
})

async function segmentHash(app: TestApp): Promise<string> {
  const { digest } = (await app.call<Image>('GET', '/api/images/golden')).body
  const { body } = await app.call<Manifest>('GET', `/images/by-digest/${digest}`)
  return body.segments[0]!
}
