import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { eq } from 'drizzle-orm'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageVersion, Retention } from '#protocol/image/image-version.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Plan } from '#protocol/run/plan.ts'
import type { Run } from '#protocol/run/run.ts'
import { judgeVersions } from '#server/db/images/image-retention.ts'
import { imageVersions } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

type Refusal = { error: { code: string; message: string } }

const NEVER = { machines: [], runs: [], links: 0 }

/** Content that differs with each number. */
function disk(seed: number): Uint8Array {
  return new Uint8Array(4096).fill(seed)
}

describeOnEveryDatabase('versions of an image', (_open, database) => {
  let app: TestApp
  before(async () => {
    const env = { STAMPEDE_TRUST_RELAYED: '1', STAMPEDE_KEEP_VERSIONS: '4' }
    app = await openTestApp({ database, env })
  })
  after(() => app[Symbol.asyncDispose]())

  const put = async (name: string, seed: number, query = '') =>
    (await app.call<Image>('PUT', `/api/images/${name}${query}`, disk(seed))).body
  const get = async (reference: string) => app.call<Image>('GET', `/api/images/${reference}`)
  const history = async (name: string) =>
    (await app.call<{ items: ImageVersion[] }>('GET', `/api/images/${name}/versions`)).body.items
  const numbers = async (name: string) => (await history(name)).map(({ version }) => version)
  const promote = (name: string, version: number, headers = {}) =>
    app.call<Image & Refusal>(
      'POST',
      `/api/images/${name}/versions/${version}/promote`,
      undefined,
      {
        headers,
      },
    )
  const remove = (name: string, version: number) =>
    app.call<Refusal>('DELETE', `/api/images/${name}/versions/${version}`)
  const assign = (mac: string, image: string | null) =>
    app.call<Machine>('PUT', `/api/machines/${mac}`, { name: mac.slice(-5), image })

  it('each upload is one, and the name stands for the newest', async () => {
    const one = await put('history', 1)
    const two = await put('history', 2)
    assert.deepEqual([one.version, two.version, two.versionCount], [1, 2, 2])
    // What the image has alone is counted in the background.
    const { uniqueBytes: _, ...told } = two
    assert.partialDeepStrictEqual((await get('history')).body, told)
    for (const [reference, digest] of [
      ['history@1', one.digest],
      ['history@2', two.digest],
      ['history@latest', two.digest],
    ] as const)
      assert.equal((await get(reference)).body.digest, digest, reference)
    assert.equal((await get('history@3')).status, 404)
    assert.equal((await get('history@0')).status, 400)
    const [newest, oldest] = await history('history')
    assert.partialDeepStrictEqual(newest, {
      version: 2,
      digest: two.digest,
      createdBy: 'admin',
      promotedBy: 'admin',
      isPromoted: true,
      usedBy: NEVER,
    })
    assert.partialDeepStrictEqual(oldest, { version: 1, isPromoted: false })
  })

  it('the same content again is no version of its own', async () => {
    await put('same', 1)
    await put('same', 1)
    assert.deepEqual(await numbers('same'), [1])
    await put('same', 2)
    await put('same', 1)
    assert.deepEqual(await numbers('same'), [3, 2, 1])
  })

  it('one that is not promoted waits, and is promoted by its number', async () => {
    const one = await put('waiting', 1)
    const two = await put('waiting', 2, '?promote=false')
    assert.deepEqual([two.version, two.latestVersion], [2, 2])
    assert.notEqual(two.digest, one.digest)
    const before = await get('waiting')
    assert.deepEqual([before.body.digest, before.body.version], [one.digest, 1])
    assert.equal((await get('waiting@latest')).body.digest, two.digest)
    const promoted = await promote('waiting', 2, { 'if-match': before.headers.get('etag')! })
    assert.deepEqual([promoted.status, promoted.body.digest], [200, two.digest])
    const late = await promote('waiting', 1, { 'if-match': before.headers.get('etag')! })
    assert.deepEqual([late.status, late.body.error.code], [412, 'precondition-failed'])
    assert.equal((await promote('waiting', 7)).status, 404)
    assert.equal((await promote('nowhere', 1)).status, 404)
  })

  it('rolled back, the name means what it meant, and the next upload goes on with the numbers', async () => {
    const one = await put('rolled', 1)
    await put('rolled', 2)
    assert.equal((await promote('rolled', 1)).body.digest, one.digest)
    assert.deepEqual(
      (await history('rolled')).map(({ version, isPromoted }) => [version, isPromoted]),
      [
        [2, false],
        [1, true],
      ],
    )
    const answer = await fetch(`${app.url}/images/rolled.img.gz`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests' },
    })
    assert.deepEqual(gunzipSync(await answer.arrayBuffer()), Buffer.from(disk(1)))
    assert.equal((await remove('rolled', 2)).status, 204)
    assert.equal((await put('rolled', 3)).version, 3)
  })

  it('every one can be had as a file, also by a link', async () => {
    await put('files', 1)
    await put('files', 2)
    const { body } = await app.call<{ url: string }>('POST', '/api/images/files@1/links', {})
    assert.match(body.url, /files@1\.img\.gz$/)
    const [linked] = (await history('files')).filter(({ version }) => version === 1)
    assert.equal(linked?.usedBy.links, 1)
    for (const url of [body.url, `${app.url}/images/files@1.img.gz`]) {
      const headers = { authorization: 'Bearer admin-token-of-the-tests' }
      const answer = await fetch(url, { headers: url === body.url ? {} : headers })
      assert.equal(answer.status, 200, url)
      assert.deepEqual(gunzipSync(await answer.arrayBuffer()), Buffer.from(disk(1)))
    }
  })

  it('a file of what names no version is not there', async () => {
    await put('unfiled', 1)
    for (const name of ['unfiled@2', 'unfiled@0', 'unfiled@01', 'unfiled@x', 'unfiled@', '@1']) {
      const { status, body } = await app.call<Refusal>('GET', `/images/${name}.img.gz`)
      const { code, message } = body.error
      assert.deepEqual([status, code, message], [404, 'not-found', `There is no image "${name}"`])
    }
  })

  it('a machine gets the one that it is assigned to, and runs keep theirs', async () => {
    const mac = '52:54:00:00:2e:01'
    const one = await put('pinned', 1)
    await put('pinned', 2)
    await assign(mac, 'pinned@1')
    assert.deepEqual((await get('pinned')).body.usedBy.machines, [{ mac, name: '2e:01' }])
    const plan = await app.call<Plan>('POST', '/api/plans', { macs: [mac], workflow: 'deploy' })
    assert.equal(plan.body.items[0]?.imageDigest, one.digest)
    const refused = await remove('pinned', 1)
    assert.deepEqual([refused.status, refused.body.error.code], [409, 'image-in-use'])
    const run = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'deploy' })
    assert.deepEqual([run.body.image, run.body.imageDigest], ['pinned@1', one.digest])
    await assign(mac, null)
    assert.equal((await remove('pinned', 1)).status, 409, 'the run pins it')
    const agent = await startAgent(app, mac)
    assert.deepEqual([agent.run?.image?.name, agent.run?.image?.digest], ['pinned', one.digest])
    const refusedWhole = await app.call('DELETE', '/api/images/pinned?unassign=true')
    assert.equal(refusedWhole.status, 409)
  })

  it('a machine with the name, or the latest, follows at its next deploy', async () => {
    const mac = '52:54:00:00:2e:02'
    const one = await put('followed', 1)
    const two = await put('followed', 2, '?promote=false')
    const deploy = async (image: string) => {
      await assign(mac, image)
      const { body } = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'deploy' })
      await app.call('POST', `/api/runs/${body.id}/cancel`)
      return body.imageDigest
    }
    assert.equal(await deploy('followed'), one.digest)
    assert.equal(await deploy('followed@latest'), two.digest)
    await promote('followed', 2)
    assert.equal(await deploy('followed'), two.digest)
    const unknown = { mac, workflow: 'deploy', image: 'followed@9' }
    const refused = await app.call<Refusal>('POST', '/api/runs', unknown)
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'image-unknown'])
  })

  it('assignments keep their version when the image gets another name', async () => {
    const mac = '52:54:00:00:2e:03'
    await put('first-name', 1)
    await put('first-name', 2)
    await assign(mac, 'first-name@1')
    await app.call('PATCH', '/api/images/first-name', { name: 'last-name' })
    assert.equal((await app.call<Machine>('GET', `/api/machines/${mac}`)).body.image, 'last-name@1')
    assert.deepEqual(await numbers('last-name'), [2, 1])
    const page = await app.call<{ items: Machine[] }>('GET', '/api/machines?image=last-name')
    assert.deepEqual(
      page.body.items.map((machine) => machine.mac),
      [mac],
    )
  })

  it('a capture becomes the next one, with its run and its machine, and takes no number', async () => {
    const mac = '52:54:00:00:2e:04'
    const one = await put('taken', 1)
    const bad = { mac, workflow: 'capture', image: 'taken@1' }
    await app.call('PUT', `/api/machines/${mac}`, {})
    const refused = await app.call<Refusal>('POST', '/api/runs', bad)
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'image-version'])
    const { id } = await queueRun(app, mac, { workflow: 'capture', image: 'taken' })
    const { token } = await startAgent(app, mac)
    const manifest = await app.call('GET', `/images/by-digest/${one.digest}`)
    const bytes = JSON.stringify({ ...(manifest.body as object), sectorBytes: 4096 })
    const headers = { 'content-type': 'application/vnd.stampede.image.v1+json' }
    const commit = () =>
      app.call<Image>('PUT', '/api/images/taken/manifest', Buffer.from(bytes), { token, headers })
    const sent = await commit()
    assert.equal(sent.status, 201, JSON.stringify(sent.body))
    // Somebody is not content, before the agent has told what it learnt.
    await promote('taken', 1)
    // The answer was lost on the way.
    assert.deepEqual([(await commit()).body.version, (await get('taken')).body.version], [2, 1])
    const info = { operatingSystem: 'Debian' }
    assert.equal((await app.call('PUT', '/api/images/taken/info', info, { token })).status, 200)
    const [newest, oldest] = await history('taken')
    assert.partialDeepStrictEqual(newest, { version: 2, createdBy: mac, runId: id, info })
    assert.equal(oldest?.info.operatingSystem, undefined)
    assert.equal((await get('taken')).body.info.operatingSystem, undefined)
    await app.call('POST', `/api/runs/${id}/cancel`)
  })

  it('a capture that was cancelled becomes none, though its agent has not heard of it yet', async () => {
    const mac = '52:54:00:00:2e:05'
    const { digest } = await put('unwanted', 1)
    const { id } = await queueRun(app, mac, { workflow: 'capture', image: 'unwanted' })
    const agent = await startAgent(app, mac)
    const manifest = await app.call('GET', `/images/by-digest/${digest}`)
    const bytes = JSON.stringify({ ...(manifest.body as object), sectorBytes: 4096 })
    await app.call('POST', `/api/runs/${id}/cancel`)
    const sent = await app.call<Refusal>(
      'PUT',
      '/api/images/unwanted/manifest',
      Buffer.from(bytes),
      {
        token: agent.token,
        headers: { 'content-type': 'application/vnd.stampede.image.v1+json' },
      },
    )
    assert.deepEqual([sent.status, sent.body.error.code], [401, 'run-over'])
    assert.equal((await get('unwanted')).body.digest, digest)
    assert.deepEqual(await numbers('unwanted'), [1])
    assert.equal((await agent.report()).body.cancel, true)
  })

  it('are removed by rule, but for what is promoted, assigned, pinned or linked', async () => {
    const macs = ['52:54:00:00:2e:05', '52:54:00:00:2e:06']
    const rule = { keepVersions: 20, keepDays: null }
    await put('kept', 21)
    assert.equal((await app.call('PUT', '/api/images/kept/retention', rule)).status, 200)
    for (let seed = 22; seed <= 28; seed++) await put('kept', seed)
    await promote('kept', 1)
    await assign(macs[0]!, 'kept@2')
    await queueRun(app, macs[1]!, { workflow: 'deploy', image: 'kept@3' })
    await app.call('POST', '/api/images/kept@4/links', {})
    const path = '/api/images/kept/retention'
    const preview = await app.call<Retention>('GET', `${path}?keepVersions=2`)
    assert.deepEqual(preview.body.removed, [6, 5])
    assert.deepEqual(await numbers('kept'), [8, 7, 6, 5, 4, 3, 2, 1], 'a preview removes nothing')
    const headers = { 'if-match': preview.headers.get('etag')! }
    const body = { keepVersions: 2 }
    const saved = await app.call<Retention>('PUT', path, body, { headers })
    assert.deepEqual([saved.status, saved.body.removed], [200, [6, 5]])
    assert.deepEqual(saved.body.kept, [
      { version: 8, reasons: ['rule'] },
      { version: 7, reasons: ['rule'] },
      { version: 4, reasons: ['linked'] },
      { version: 3, reasons: ['running'] },
      { version: 2, reasons: ['assigned'] },
      { version: 1, reasons: ['promoted'] },
    ])
    assert.deepEqual(await numbers('kept'), [8, 7, 4, 3, 2, 1])
    assert.equal((await app.call('PUT', path, body, { headers })).status, 412)
  })

  it('are kept by the settings where nothing was said, and their chunks go with them', async () => {
    for (let seed = 1; seed <= 6; seed++) await put('standard', 40 + seed)
    assert.deepEqual(await numbers('standard'), [6, 5, 4, 3])
    const shown = await app.call<Retention>('GET', '/api/images/standard/retention')
    assert.partialDeepStrictEqual(shown.body, { keepVersions: 4, keepDays: null, isDefault: true })
    const [digest, former] = (await history('standard')).map((version) => version.digest)
    const manifest = (of: string | undefined) => app.call('GET', `/images/by-digest/${of}`)
    assert.equal((await manifest(former)).status, 200)
    await app.call('PUT', '/api/images/standard/retention', { keepVersions: 1 })
    assert.deepEqual(await numbers('standard'), [6])
    // By the next sweep, which spares what is kept.
    for (const end = Date.now() + 20_000; (await manifest(former)).status !== 404;) {
      assert.ok(Date.now() < end, 'the manifest of a version that went is still there')
      await sleep(20)
    }
    assert.equal((await manifest(digest)).status, 200)
    const restored = await app.call<Retention>('PUT', '/api/images/standard/retention', {
      useDefault: true,
    })
    assert.equal(restored.body.isDefault, true)
  })

  it('are told of before the settings, or no rule at all, decide on them', async () => {
    const path = '/api/images/undecided/retention'
    await put('undecided', 70)
    await app.call('PUT', path, {})
    for (let seed = 71; seed <= 76; seed++) await put('undecided', seed)
    const ask = (query: string) => app.call<Retention & Refusal>('GET', `${path}?${query}`)
    assert.partialDeepStrictEqual((await ask('useDefault=true')).body, {
      keepVersions: 4,
      keepDays: null,
      isDefault: true,
      removed: [3, 2, 1],
    })
    const own = (await ask('')).body
    assert.deepEqual([own.isDefault, own.removed], [false, []])
    await app.call('PUT', path, { keepVersions: 6 })
    const { kept: _kept, ...all } = (await ask('keepAll=true')).body
    assert.deepEqual(all, { keepVersions: null, keepDays: null, isDefault: false, removed: [] })
    assert.deepEqual(await numbers('undecided'), [7, 6, 5, 4, 3, 2])
    const both = await ask('useDefault=true&keepVersions=2')
    assert.deepEqual([both.status, both.body.error.code], [422, 'retention-contradicts'])
    const saved = await app.call<Refusal>('PUT', path, { useDefault: true, keepVersions: 1 })
    assert.deepEqual([saved.status, saved.body.error.code], [422, 'retention-contradicts'])
    assert.deepEqual(await numbers('undecided'), [7, 6, 5, 4, 3, 2])
    const { body } = await app.call<Retention>('PUT', path, { useDefault: true })
    assert.deepEqual(body.removed, [3, 2])
  })

  it('go by their age, where days were said', async () => {
    for (let seed = 1; seed <= 3; seed++) await put('aged', 60 + seed)
    const { db } = app.database
    const old = new Date(Date.now() - 40 * 86_400_000)
    await db.update(imageVersions).set({ createdAt: old }).where(eq(imageVersions.version, 1))
    const saved = await app.call<Retention>('PUT', '/api/images/aged/retention', { keepDays: 30 })
    assert.deepEqual(saved.body.removed, [1])
  })
})

describe('which versions are kept', () => {
  const now = new Date('2026-05-01T00:00:00.000Z')
  const versions = [4, 3, 2, 1].map((version) => ({
    version,
    createdAt: new Date(now.getTime() - (4 - version) * 10 * 86_400_000).toISOString(),
    isPromoted: version === 4,
    usedBy: { machines: [], runs: [], links: 0 },
  }))
  const removed = (keepVersions: number | null, keepDays: number | null) =>
    judgeVersions(versions, { keepVersions, keepDays }, now).removed

  it('is all of them without a rule, and by either half of one', () => {
    assert.deepEqual(removed(null, null), [])
    assert.deepEqual(removed(2, null), [2, 1])
    assert.deepEqual(removed(null, 15), [2, 1])
    assert.deepEqual(removed(1, 25), [1])
    assert.deepEqual(removed(3, 5), [1])
  })
})
