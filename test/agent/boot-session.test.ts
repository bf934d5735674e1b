import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { isZero, sha256 } from '#agent/chunks/content.ts'
import { bootSession } from '#agent/boot-session.ts'
import { exec } from '#agent/exec.ts'
import { readDisks } from '#agent/inventory/disks.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Image } from '#protocol/image/image-info.ts'
import type { Run } from '#protocol/run/run.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { rot, waitFor } from '#test/server/care/care-lab.ts'
import { createInventory } from '#test/support/inventory.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { bootToken, queueRun, readRun } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const DISK_BYTES = 12 * CHUNK_BYTES

describe('a boot of the agent', { skip: NEEDS_ROOT }, () => {
  let app: TestApp
  let mac: string
  let count = 0
  before(async () => {
    app = await openTestApp({ env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())
  beforeEach(() => {
    mac = `52:54:00:00:03:${(++count).toString(16).padStart(2, '0')}`
  })

  async function boot(disks: LoopDevice[], signal = new AbortController().signal) {
    const found = await readDisks(
      exec,
      disks.map(({ path }) => path),
    )
    const paths = new Set(disks.map(({ path }) => path))
    const lines: string[] = []
    const after = await bootSession({
      settings: {
        serverUrl: `http://127.0.0.1:${app.port}`,
        mac,
        bootToken: await bootToken(app, mac),
      },
      inventory: createInventory({ disks: found.filter(({ path }) => paths.has(path)) }),
      print: (text) => void lines.push(text),
      signal,
    })
    return { after, lines }
  }

  async function readWhole(image: string): Promise<Buffer> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const answer = await fetch(`${app.url}/images/${image}.img`, { headers })
    assert.equal(answer.status, 200)
    return Buffer.from(await answer.arrayBuffer())
  }

  it('of a machine that has no run sends the inventory and reboots', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    const { after } = await boot([disk])
    assert.equal(after, 'reboot')
    const { body } = await app.call('GET', `/api/machines/${mac}`)
    assert.partialDeepStrictEqual(body, { inventory: { disks: [{ path: disk.path }] } })
  })

  it('captures a disk, and the next one deploys it to another: both with a receipt', async () => {
    const content = randomBytes(DISK_BYTES)
    content.fill(0, 2 * CHUNK_BYTES, 6 * CHUNK_BYTES)
    await using source = await openLoopDevice({ content })
    const disk = { path: source.path }
    const capture = await queueRun(app, mac, { workflow: 'capture', image: 'golden', disk })
    const captured = await boot([source])
    assert.equal(captured.after, 'reboot')

    const { body: image } = await app.call<Image>('GET', '/api/images/golden')
    assert.equal(image.sizeBytes, DISK_BYTES)
    assert.partialDeepStrictEqual(await readRun(app, capture.id), {
      state: 'succeeded',
      steps: [{ name: 'check-machine' }, { name: 'read-image', state: 'succeeded' }],
      receipt: { imageDigest: image.digest, bytesRead: DISK_BYTES },
    })

    await using target = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const deploy = await queueRun(app, mac, {
      workflow: 'deploy',
      image: 'golden',
      disk: { path: target.path },
      after: 'poweroff',
      grow: false,
      identity: 'keep',
    })
    assert.equal((await boot([target])).after, 'poweroff')
    assert.equal(await target.digest(), await source.digest())
    const run = await readRun(app, deploy.id)
    assert.partialDeepStrictEqual(run, {
      state: 'succeeded',
      receipt: {
        imageName: 'golden',
        imageDigest: image.digest,
        imageVerified: true,
        bytesVerified: DISK_BYTES,
        disk: { path: target.path, sizeBytes: DISK_BYTES },
      },
    })
    assert.ok(run.log.some(({ text }) => text.includes('write-image')))
    const written = run.steps.find(({ name }) => name === 'write-image')!
    assert.equal(written.bytesDone, written.bytesTotal)
    assert.equal(written.bytesTotal, 2 * DISK_BYTES)
  })

  it('verifies a disk against what was deployed, also on a locked machine, and writes nothing', async () => {
    await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const target = { disk: { path: disk.path }, grow: false, identity: 'keep' as const }
    await queueRun(app, mac, { workflow: 'capture', image: 'compared', disk: target.disk })
    await boot([disk])
    await queueRun(app, mac, { workflow: 'deploy', image: 'compared', ...target })
    await boot([disk])
    const { body: image } = await app.call<Image>('GET', '/api/images/compared')
    await app.call('PATCH', `/api/machines/${mac}`, { locked: true, disk: target.disk })

    const queueVerify = async () => {
      const answer = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'verify' })
      assert.equal(answer.status, 201, JSON.stringify(answer.body))
      assert.partialDeepStrictEqual(answer.body, { image: 'compared', imageDigest: image.digest })
      return answer.body.id
    }
    const same = await queueVerify()
    await boot([disk])
    assert.partialDeepStrictEqual(await readRun(app, same), {
      state: 'succeeded',
      steps: [{ name: 'check-machine' }, { name: 'compare-disk', state: 'succeeded' }],
      receipt: {
        imageVerified: true,
        comparison: { matches: true, chunksCompared: 12, chunksDiffering: 0, differing: [] },
      },
    })

    await flip(disk.path, 5 * CHUNK_BYTES + 77)
    const before = await disk.digest()
    const other = await queueVerify()
    const { after: next, lines } = await boot([disk])
    assert.equal(next, 'reboot')
    assert.equal(
      lines.filter((line) => /differs from the image in 1 of 12 MiB/.test(line)).length,
      1,
    )
    const run = await readRun(app, other)
    assert.partialDeepStrictEqual(run, {
      state: 'failed',
      receipt: {
        imageVerified: false,
        comparison: {
          matches: false,
          chunksDiffering: 1,
          differing: [{ startMib: 5, endMib: 6 }],
        },
      },
    })
    assert.match(run.error!, /differs from the image in 1 of 12 MiB[^]*at MiB 5/)
    assert.equal(await disk.digest(), before)
    // It is none of the machine's faults: what was deployed is still what it runs.
    const { body: machine } = await app.call('GET', `/api/machines/${mac}`)
    assert.partialDeepStrictEqual(machine, { state: 'deployed' })
  })

  it('heals with a capture what the store has lost of an image', async () => {
    await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const capture = async () => {
      const { id } = await queueRun(app, mac, {
        workflow: 'capture',
        image: 'healed',
        disk: { path: disk.path },
      })
      await boot([disk])
      assert.equal((await readRun(app, id)).state, 'succeeded')
    }
    await capture()
    const hash = parseSha256(sha256((await readFile(disk.path)).subarray(0, CHUNK_BYTES)))
    await rot(join(app.dataFolder, 'store'), hash)
    const isDamaged = async () =>
      (await app.call<Image>('GET', '/api/images/healed')).body.damaged !== undefined
    await readWhole('healed').catch(() => {})
    await waitFor('the damage is noted', isDamaged)
    const deploy = { mac, workflow: 'deploy', image: 'healed', disk: { path: disk.path } }
    assert.equal((await app.call('POST', '/api/runs', deploy)).status, 409)

    await capture()
    assert.equal(await isDamaged(), false)
    assert.equal(sha256(await readWhole('healed')), await disk.digest())
  })

  it('wipes a disk', async () => {
    await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const { id } = await queueRun(app, mac, { workflow: 'wipe', disk: { path: disk.path } })
    await boot([disk])
    assert.equal((await readRun(app, id)).state, 'succeeded')
    assert.equal(await disk.digest(), sha256(Buffer.alloc(DISK_BYTES)))
  })

  it('ends failed with its reason where no disk is the one meant, and touches none', async () => {
    await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const before = await disk.digest()
    const { id } = await queueRun(app, mac, { workflow: 'wipe', disk: { serial: 'OTHER' } })
    await assert.rejects(boot([disk]), /No disk fits/)
    assert.partialDeepStrictEqual(await readRun(app, id), {
      state: 'failed',
      steps: [{ name: 'check-machine', state: 'failed' }, { state: 'skipped' }],
    })
    assert.match((await readRun(app, id)).error!, /Step "check-machine" failed: No disk fits/)
    assert.equal(await disk.digest(), before)
  })

  describe('of an image that the store has lost a chunk of', () => {
    async function deployDamaged(disk: LoopDevice, damage: (path: string) => Promise<void>) {
      const content = randomBytes(DISK_BYTES)
      await app.call('PUT', '/api/images/damaged', content)
      const hash = sha256(content.subarray(5 * CHUNK_BYTES, 6 * CHUNK_BYTES))
      await damage(join(app.dataFolder, 'store', hash.slice(0, 2), `${hash.slice(2)}.gz`))
      const { id } = await queueRun(app, mac, {
        workflow: 'deploy',
        image: 'damaged',
        disk: { path: disk.path },
      })
      const error = await boot([disk]).then(
        () => assert.fail('It did not fail'),
        (err: Error) => err.message,
      )
      assert.partialDeepStrictEqual(await readRun(app, id), { state: 'failed', receipt: null })
      return { error, hash }
    }

    it('ends failed before anything is written if it is not there', async () => {
      await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
      const before = await disk.digest()
      const { error } = await deployDamaged(disk, (path) => rm(path))
      assert.match(error, /Step "check-machine" failed: .*"damaged" lacks a chunk.*nothing was/)
      assert.equal(await disk.digest(), before)
    })

    it('fails by its hash if it is rotten, and the disk does not boot', async () => {
      await using disk = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
      const other = gzipSync(randomBytes(CHUNK_BYTES))
      const { error, hash } = await deployDamaged(disk, (path) => writeFile(path, other))
      assert.match(error, new RegExp(`Step "write-image" failed: .*${hash}`))
      assert.ok(isZero((await disk.content()).subarray(0, CHUNK_BYTES)))
    })
  })

  it('stops within seconds when the run is cancelled', async () => {
    await using disk = await openLoopDevice({ sizeBytes: 40_000 * CHUNK_BYTES })
    const { id } = await queueRun(app, mac, {
      workflow: 'capture',
      image: 'endless',
      disk: { path: disk.path },
    })
    const booted = boot([disk])
    while ((await readRun(app, id)).state !== 'running') await pause()
    await app.call('POST', `/api/runs/${id}/cancel`)
    await booted
    const run = await readRun(app, id)
    assert.equal(run.state, 'cancelled')
    assert.equal((await app.call('GET', '/api/images/endless')).status, 404)
  })
})

/** All bits of a byte of a disk. */
async function flip(path: string, position: number): Promise<void> {
  await using file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0]! ^= 0xff
  await file.write(byte, 0, 1, position)
  await file.sync()
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 50))
}
