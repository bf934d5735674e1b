import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Run } from '#protocol/run/run.ts'
import { listEventsAfter } from '#server/db/events.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

type Refusal = { error: { code: string; message: string; details?: unknown } }
type Usage = Image['usedBy']

const DISK = diskContent({ chunks: 3 })

describeOnEveryDatabase('changing images', (_open, database) => {
  let app: TestApp
  before(async () => (app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })))
  after(() => app[Symbol.asyncDispose]())

  const put = async (name: string, body: Uint8Array = DISK) =>
    (await app.call<Image>('PUT', `/api/images/${name}`, body)).body
  const get = async (name: string) => (await app.call<Image>('GET', `/api/images/${name}`)).body
  const assign = (mac: string, image: string | null) =>
    app.call<Machine>('PATCH', `/api/machines/${mac}`, { image })
  const machine = async (mac: string) =>
    (await app.call<Machine>('GET', `/api/machines/${mac}`)).body

  async function eventsSince(id: number) {
    const { items: events } = await listEventsAfter(app.database.db, id, 1000)
    return events.map(({ kind, data }) => ({ kind, ...(data as Record<string, unknown>) }))
  }
  const lastEvent = async () =>
    (await listEventsAfter(app.database.db, 0, 10_000)).items.at(-1)?.id ?? 0

  it('a description is kept, also when the content is replaced, and can be taken away', async () => {
    await put('described')
    const since = await lastEvent()
    const { status, body } = await app.call<Image>('PATCH', '/api/images/described', {
      description: 'For the web rack',
    })
    assert.deepEqual([status, body.description], [200, 'For the web rack'])
    assert.partialDeepStrictEqual(await eventsSince(since), [
      { kind: 'image', name: 'described', description: 'For the web rack' },
    ])
    assert.equal((await put('described', DISK.subarray(0, MIB))).description, 'For the web rack')
    await app.call('PATCH', '/api/images/described', { description: null })
    assert.equal((await get('described')).description, undefined)
  })

  it('a new name is followed by assignments, and by the events', async () => {
    const image = await put('old-name')
    await app.call('PUT', '/api/machines/52:54:00:00:0d:01', { name: 'follower' })
    await assign('52:54:00:00:0d:01', 'old-name')
    const since = await lastEvent()
    const { status, body } = await app.call<Image>('PATCH', '/api/images/old-name', {
      name: 'new-name',
    })
    assert.equal(status, 200)
    assert.partialDeepStrictEqual(body, {
      name: 'new-name',
      digest: image.digest,
      createdAt: image.createdAt,
    })
    assert.deepEqual(body.usedBy, {
      machines: [{ mac: '52:54:00:00:0d:01', name: 'follower' }],
      runs: [],
    })
    assert.equal((await machine('52:54:00:00:0d:01')).image, 'new-name')
    assert.equal((await app.call('GET', '/api/images/old-name')).status, 404)
    assert.partialDeepStrictEqual(await eventsSince(since), [
      { kind: 'image', name: 'old-name', deleted: true },
      { kind: 'image', name: 'new-name' },
      { kind: 'machine', mac: '52:54:00:00:0d:01', image: 'new-name' },
    ])
  })

  it('a name that is taken, unknown or no name is refused', async () => {
    await put('one')
    await put('other')
    const rename = (from: string, name: string) =>
      app.call<Refusal>('PATCH', `/api/images/${from}`, { name })
    const taken = await rename('one', 'other')
    assert.deepEqual([taken.status, taken.body.error.code], [409, 'image-exists'])
    assert.equal((await rename('nowhere', 'somewhere')).status, 404)
    assert.equal((await rename('one', 'Not A Name')).status, 400)
    assert.equal((await rename('one', 'one')).status, 200)
    const request = { name: 'uploading', sizeBytes: 512 }
    const upload = await app.call<{ id: string }>('POST', '/api/uploads', request)
    const open = await rename('one', 'uploading')
    assert.deepEqual([open.status, open.body.error.code], [409, 'upload-open'])
    await app.call('DELETE', `/api/uploads/${upload.body.id}`)
  })

  it('an image that an open upload is about to become keeps its name until then', async () => {
    await put('awaited')
    const request = { name: 'awaited', sizeBytes: 512 }
    const upload = await app.call<{ id: string }>('POST', '/api/uploads', request)
    const rename = () => app.call<Refusal>('PATCH', '/api/images/awaited', { name: 'set-free' })
    const { status, body } = await rename()
    assert.deepEqual([status, body.error?.code], [409, 'upload-open'])
    await app.call('DELETE', `/api/uploads/${upload.body.id}`)
    assert.equal((await rename()).status, 200)
  })

  it('two renamings to one name: one of them is refused', async () => {
    await put('left')
    await put('right')
    const answers = await Promise.all(
      ['left', 'right'].map((from) => app.call('PATCH', `/api/images/${from}`, { name: 'middle' })),
    )
    assert.deepEqual(answers.map(({ status }) => String(status)).toSorted(), ['200', '409'])
    await app.call('DELETE', '/api/images/middle')
  })

  it('a run goes on with what it pinned, though its image has another name now', async () => {
    const mac = '52:54:00:00:0d:02'
    await put('pinned', diskContent({ chunks: 2 }))
    await app.call('PUT', '/api/images/pinned/info', { rootPartition: 3 })
    const { digest } = await get('pinned')
    const { id } = await queueRun(app, mac, { workflow: 'deploy', image: 'pinned' })
    assert.equal((await app.call('PATCH', '/api/images/pinned', { name: 'renamed' })).status, 200)
    assert.deepEqual((await get('renamed')).usedBy.runs, [id])
    const { run, token } = await startAgent(app, mac)
    assert.equal(run?.image?.digest, digest)
    assert.equal(run?.image?.info?.rootPartition, 3)
    const path = `/images/by-digest/${digest}`
    assert.equal((await app.call('GET', path, undefined, { token })).status, 200)
    const refused = await app.call<Refusal>('DELETE', '/api/images/renamed')
    assert.deepEqual([refused.status, refused.body.error.code], [409, 'image-in-use'])
    await app.call('POST', `/api/runs/${id}/cancel`)
  })

  it('a capture keeps its name free, before and after', async () => {
    const mac = '52:54:00:00:0d:03'
    await put('captured')
    const run = await queueRun(app, mac, { workflow: 'capture', image: 'captured' })
    for (const [from, name] of [
      ['captured', 'elsewhere'],
      ['one', 'captured'],
    ]) {
      const { status, body } = await app.call<Refusal>('PATCH', `/api/images/${from}`, { name })
      assert.equal(status, 409, `${from} to ${name}`)
      if (from === 'captured') assert.match(body.error.message, new RegExp(run.id))
    }
    await app.call('POST', `/api/runs/${run.id}/cancel`)
  })

  it('an assigned image is deleted only with its assignments', async () => {
    const macs = ['52:54:00:00:0d:04', '52:54:00:00:0d:05']
    await put('assigned')
    for (const mac of macs) {
      await app.call('PUT', `/api/machines/${mac}`, { name: `rack-${mac.slice(-2)}` })
      await assign(mac, 'assigned')
    }
    const refused = await app.call<Refusal>('DELETE', '/api/images/assigned')
    assert.deepEqual([refused.status, refused.body.error.code], [409, 'image-in-use'])
    assert.deepEqual(refused.body.error.details as Usage, {
      machines: [
        { mac: macs[0], name: 'rack-04' },
        { mac: macs[1], name: 'rack-05' },
      ],
      runs: [],
    })
    const since = await lastEvent()
    assert.equal((await app.call('DELETE', '/api/images/assigned?unassign=true')).status, 204)
    for (const mac of macs) assert.equal((await machine(mac)).image, undefined)
    const kinds = (await eventsSince(since)).map(({ kind }) => kind)
    assert.deepEqual(kinds, ['image', 'machine', 'machine'])
  })

  it('an active run refuses the deletion, whatever is said of assignments', async () => {
    const mac = '52:54:00:00:0d:06'
    await put('running')
    const run: Run = await queueRun(app, mac, { workflow: 'deploy', image: 'running' })
    const refused = await app.call<Refusal>('DELETE', '/api/images/running?unassign=true')
    assert.equal(refused.status, 409)
    assert.deepEqual((refused.body.error.details as Usage).runs, [run.id])
    await app.call('POST', `/api/runs/${run.id}/cancel`)
  })

  it('somebody who read an older version changes nothing', async () => {
    await put('tagged')
    const tag = (await app.call('GET', '/api/images/tagged')).headers.get('etag')!
    const ifMatch = { headers: { 'if-match': tag } }
    const change = (description: string) =>
      app.call('PATCH', '/api/images/tagged', { description }, ifMatch)
    assert.equal((await change('first')).status, 200)
    assert.equal((await change('second')).status, 412)
    const deletion = await app.call('DELETE', '/api/images/tagged', undefined, ifMatch)
    assert.equal(deletion.status, 412)
    assert.equal((await get('tagged')).description, 'first')
  })

  it('an upload and a manifest replace only what their sender knows, or nothing', async () => {
    const tag = async () => (await app.call('GET', '/api/images/known')).headers.get('etag')!
    const upload = async (headers: Record<string, string>, body = DISK) =>
      (await app.call('PUT', '/api/images/known', body, { headers })).status
    assert.equal(await upload({ 'if-match': '*' }), 412)
    assert.equal(await upload({ 'if-none-match': '*' }), 201)
    const first = await tag()
    assert.equal(await upload({ 'if-none-match': '*' }), 412)
    assert.equal(await upload({ 'if-match': '"other"' }), 412)
    assert.equal(await tag(), first)
    assert.equal(await upload({ 'if-match': first }, DISK.subarray(0, MIB)), 201)
    assert.equal(await upload({ 'if-match': first }), 412)
    const { digest } = await get('known')
    const manifest = (await app.call<object>('GET', `/images/by-digest/${digest}`)).body
    const commit = async (headers: Record<string, string>) =>
      (await app.call('PUT', '/api/images/known/manifest', JSON.stringify(manifest), { headers }))
        .status
    assert.equal(await commit({ 'if-match': first }), 412)
    assert.equal(await commit({ 'if-match': await tag() }), 201)

    const both = [diskContent({ chunks: 2 }), diskContent({ chunks: 4 })]
    const headers = { 'if-none-match': '*' }
    const answers = await Promise.all(
      both.map((body) => app.call('PUT', '/api/images/raced', body, { headers })),
    )
    assert.deepEqual(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [201, 412],
    )
  })

  it('a download goes on to its end though the image is deleted and swept meanwhile', async () => {
    // More than what lies in sockets and buffers when the reader does not read.
    const large = diskContent({ chunks: 40 })
    for (let start = 0; start < large.length; start += 4 * MIB)
      large.write(`only in this image ${start}`, start)
    await put('downloaded', large)
    const response = await fetch(`http://127.0.0.1:${app.port}/images/downloaded.img.gz`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    const reader = response.body!.getReader()
    const parts = [(await reader.read()).value!]
    assert.equal((await app.call('DELETE', '/api/images/downloaded')).status, 204)
    // As long as a sweep takes that would not spare it; there is nothing to wait for.
    await sleep(500)
    for (let part = await reader.read(); !part.done; part = await reader.read())
      parts.push(part.value)
    assert.equal(sha256(gunzipSync(Buffer.concat(parts))), sha256(large))
  })
})

describeOnEveryDatabase('what images share', (_open, database) => {
  let app: TestApp
  before(async () => (app = await openTestApp({ database })))
  after(() => app[Symbol.asyncDispose]())

  const disk = (...fills: string[]) =>
    Buffer.concat(fills.map((fill) => Buffer.alloc(MIB, `${fill} `)))
  const put = async (name: string, ...fills: string[]) =>
    (await app.call<Image>('PUT', `/api/images/${name}`, disk(...fills))).body
  const get = async (name: string) => (await app.call<Image>('GET', `/api/images/${name}`)).body

  async function uniqueBytesOf(name: string, expected: (bytes: number) => boolean) {
    const deadline = Date.now() + 60_000
    for (;;) {
      const { uniqueBytes } = await get(name)
      if (uniqueBytes !== null && expected(uniqueBytes)) return uniqueBytes
      assert.ok(Date.now() < deadline, `${name}: ${uniqueBytes}`)
      await sleep(20)
    }
  }

  it('is counted: an image alone owns all it stores, and less with each that is like it', async () => {
    const first = await put('first', 'a', 'a', 'b', 'c')
    await uniqueBytesOf('first', (bytes) => bytes === first.storedBytes)
    const second = await put('second', 'b', 'c', 'd')
    // Its own segment and one chunk of three.
    const own = await uniqueBytesOf('second', (bytes) => bytes < second.storedBytes)
    const left = await uniqueBytesOf('first', (bytes) => bytes < first.storedBytes)
    assert.ok(own > 0 && left > 0)
    assert.equal(first.storedBytes - left, second.storedBytes - own)
    assert.equal((await put('twin', 'b', 'c', 'd')).storedBytes, second.storedBytes)
    await uniqueBytesOf('twin', (bytes) => bytes === 0)
    await uniqueBytesOf('second', (bytes) => bytes === 0)
    await app.call('DELETE', '/api/images/twin')
    await app.call('DELETE', '/api/images/first')
    await uniqueBytesOf('second', (bytes) => bytes === second.storedBytes)
    const listed = await app.call<{ items: Image[] }>('GET', '/api/images')
    assert.deepEqual(listed.body.items, [await get('second')])
  })
})
