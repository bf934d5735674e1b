import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, it } from 'node:test'
import { eq } from 'drizzle-orm'
import { parseMac } from '#protocol/mac.ts'
import type { Run } from '#protocol/run/run.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { insertRuns } from '#server/db/runs/insert-runs.ts'
import { images, machines, manifests, runs } from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, readRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { untilOneWaits } from '#test/support/until-one-waits.ts'

const DIGEST = parseSha256('d'.repeat(64))
type Refusal = { error: { code: string; message: string } }
type RunOrRefusal = Omit<Run, 'error'> & Refusal

describeOnEveryDatabase('run routes', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    const sizes = { sizeBytes: 1024, storedBytes: 10, contentBytes: 1024, exportBytes: 100 }
    const { db } = app.database
    await db.insert(manifests).values({
      ...sizes,
      digest: DIGEST,
      bytes: new Uint8Array(),
      sectorBytes: 512,
      layoutHash: DIGEST,
    })
    await db.insert(images).values({ name: 'debian', digest: DIGEST, info: {} })
  })
  after(() => app[Symbol.asyncDispose]())

  const mac = (end: string) => `52:54:00:00:05:${end}`
  const post = (body: object) => app.call<RunOrRefusal>('POST', '/api/runs', body)

  it('fills in what the request leaves open from the machine, and pins the image', async () => {
    const network = { address: '10.0.0.9/24', gateway: '10.0.0.1' }
    const disk = { serial: 'S1' }
    await app.call('PUT', `/api/machines/${mac('01')}`, {
      name: 'Rack 3, node 7',
      image: 'debian',
      network,
      disk,
    })
    const answer = await app.call<Run>('POST', '/api/runs', {
      mac: '525400000501',
      workflow: 'deploy',
    })
    const { body } = answer
    assert.equal(answer.status, 201)
    assert.equal(answer.headers.get('location'), `/api/runs/${body.id}`)
    assert.deepEqual(body, {
      id: body.id,
      mac: mac('01'),
      workflow: 'deploy',
      state: 'queued',
      attempts: 0,
      image: 'debian',
      imageDigest: DIGEST,
      plan: null,
      options: {
        disk,
        network,
        hostname: 'Rack-3-node-7',
        grow: true,
        after: 'reboot',
        zeroUnused: false,
        identity: 'reset',
        force: false,
      },
      steps: body.steps,
      claimedBy: null,
      cancelRequested: false,
      error: null,
      receipt: null,
      createdAt: app.clock.now().toISOString(),
      startedAt: null,
      lastReportAt: null,
      timesOutAt: null,
      finishedAt: null,
    })
    assert.deepEqual(await readRun(app, body.id), { ...body, log: [] })
    const agent = await startAgent(app, mac('01'))
    assert.deepEqual(agent.run.image, {
      name: 'debian',
      digest: DIGEST,
      sizeBytes: 1024,
      sectorBytes: 512,
      info: {},
    })
  })

  it('of many runs asked for at once on one machine, one is made', async () => {
    await app.call('PUT', `/api/machines/${mac('02')}`, {})
    const request = { mac: mac('02'), workflow: 'wipe' }
    const answers = await Promise.all(Array.from({ length: 8 }, () => post(request)))
    assert.equal(answers.filter(({ status }) => status === 201).length, 1)
    assert.equal(answers.filter(({ status }) => status === 409).length, 7)
    const refused = answers.find(({ status }) => status === 409)!
    assert.equal(refused.body.error.code, 'run-active')
    assert.match(refused.body.error.message, /is queued with run .*cancel it/)
  })

  it('lists newest first, by machine and state, page by page', async () => {
    const ids: string[] = []
    for (let i = 0; i < 5; i++) {
      const { id } = await queueRun(app, mac('03'))
      ids.unshift(id)
      if (i < 4) await app.call('POST', `/api/runs/${id}/cancel`)
    }
    type List = { items: Run[]; next: string | null }
    const list = async (query: string) =>
      (await app.call<List>('GET', `/api/runs?mac=52-54-00-00-05-03&${query}`)).body
    const idsOf = ({ items }: List) => items.map(({ id }) => id)
    assert.deepEqual(idsOf(await list('')), ids)
    assert.deepEqual(idsOf(await list('state=queued')), ids.slice(0, 1))
    const first = await list('state=cancelled&limit=3')
    assert.deepEqual(idsOf(first), ids.slice(1, 4))
    const rest = await list(`state=cancelled&limit=3&after=${first.next}`)
    assert.deepEqual([idsOf(rest), rest.next], [ids.slice(4), null])
  })

  it('refuses hints that no disk could match', async () => {
    await app.call('PUT', `/api/machines/${mac('09')}`, {})
    const disk = { minBytes: 10, maxBytes: 5 }
    const refused = await post({ mac: mac('09'), workflow: 'wipe', disk })
    assert.deepEqual([refused.status, refused.body.error.code], [422, 'disk-impossible'])
  })

  it('a machine that is locked gets no run', async () => {
    await app.call('PUT', `/api/machines/${mac('04')}`, { locked: true })
    const { status, body } = await post({ mac: mac('04'), workflow: 'wipe' })
    assert.deepEqual([status, body.error.code], [409, 'machine-locked'])
  })

  it('a verify is about what was deployed, else what is assigned, and a lock does not stop it', async () => {
    const machine = `/api/machines/${mac('0e')}`
    const verify = (more: object = {}) => post({ mac: mac('0e'), workflow: 'verify', ...more })
    await app.call('PUT', machine, { locked: true })
    const bare = await verify()
    assert.deepEqual([bare.status, bare.body.error.code], [422, 'image-missing'])
    const unknown = await verify({ image: 'nobodys' })
    assert.deepEqual([unknown.status, unknown.body.error.code], [422, 'image-unknown'])

    await app.call('PUT', machine, { locked: true, image: 'debian' })
    const assigned = await verify()
    assert.equal(assigned.status, 201)
    assert.partialDeepStrictEqual(assigned.body, { image: 'debian', imageDigest: DIGEST })
    assert.deepEqual(
      assigned.body.steps.map(({ name }) => name),
      ['check-machine', 'compare-disk'],
    )
    await app.call('POST', `/api/runs/${assigned.body.id}/cancel`)
  })

  it('a machine with an active run is not deleted', async () => {
    await queueRun(app, mac('05'))
    const answer = await app.call<Refusal>('DELETE', `/api/machines/${mac('05')}`)
    assert.deepEqual([answer.status, answer.body.error.code], [409, 'run-active'])
  })

  it('a machine for which a run is queued in that moment is not deleted', async () => {
    const { db } = app.database
    const { id } = await queueRun(app, mac('15'))
    await app.call('POST', `/api/runs/${id}/cancel`)
    const [before] = await db.select().from(runs).where(eq(runs.id, id))
    const deleted = await db.transaction(async (tx) => {
      await insertRuns(tx, [{ ...before!, id: randomUUID(), state: 'queued' }])
      const answer = app.call<Refusal>('DELETE', `/api/machines/${mac('15')}`)
      // PGlite has one connection: there it waits for its turn.
      if (database === 'postgres') await untilOneWaits(tx)
      return { answer }
    })
    const { status, body } = await deleted.answer
    assert.deepEqual([status, body.error.code], [409, 'run-active'])
  })

  it('a machine that is deleted in that moment gets no run', async () => {
    await app.call('PUT', `/api/machines/${mac('16')}`, {})
    const queued = await app.database.db.transaction(async (tx) => {
      await tx.delete(machines).where(eq(machines.mac, parseMac(mac('16'))))
      const answer = post({ mac: mac('16'), workflow: 'wipe' })
      if (database === 'postgres') await untilOneWaits(tx)
      return { answer }
    })
    const { status, body } = await queued.answer
    assert.deepEqual([status, body.error.code], [422, 'machine-unknown'])
  })

  it('cancel of a queued run is at once, and of one that is over too late', async () => {
    const { id } = await queueRun(app, mac('06'))
    const cancelled = await app.call<Run>('POST', `/api/runs/${id}/cancel`)
    assert.deepEqual([cancelled.status, cancelled.body.state], [200, 'cancelled'])
    assert.equal((await app.call('POST', `/api/runs/${id}/cancel`)).status, 200)
    const other = await queueRun(app, mac('06'))
    await (await startAgent(app, mac('06'))).result({ state: 'failed', error: 'x' })
    const late = await app.call<Refusal>('POST', `/api/runs/${other.id}/cancel`)
    assert.deepEqual([late.status, late.body.error.code], [409, 'run-over'])
  })

  it('a capture of the whole disk says so to the agent, and others say nothing', async () => {
    const whole = { workflow: 'capture', image: 'whole', wholeDisk: true } as const
    assert.equal((await queueRun(app, mac('11'), whole)).options.wholeDisk, true)
    const usual = await queueRun(app, mac('12'), { workflow: 'capture', image: 'used' })
    assert.equal(usual.options.wholeDisk, undefined)
    assert.equal((await startAgent(app, mac('11'))).run.options.wholeDisk, true)
  })

  it('two captures into one image are refused', async () => {
    await queueRun(app, mac('07'), { workflow: 'capture', image: 'golden' })
    await app.call('PUT', `/api/machines/${mac('08')}`, {})
    const second = await post({ mac: mac('08'), workflow: 'capture', image: 'golden' })
    assert.deepEqual([second.status, second.body.error.code], [422, 'image-in-use'])
  })

  it('of many captures into one image that are asked for at once, one is made', async () => {
    const macs = Array.from({ length: 6 }, (_, index) => mac(`2${index}`))
    for (const each of macs) await app.call('PUT', `/api/machines/${each}`, {})
    const request = { workflow: 'capture', image: 'contested' }
    const answers = await Promise.all(macs.map((each) => post({ mac: each, ...request })))
    const statuses = answers.map(({ status }) => status)
    assert.deepEqual(
      statuses.toSorted((a, b) => a - b),
      [201, 422, 422, 422, 422, 422],
    )
  })

  const senseless: [what: string, status: number, code: string, body: object][] = [
    ['an unknown machine', 422, 'machine-unknown', { mac: mac('ff'), workflow: 'wipe' }],
    ['a deploy without an image', 422, 'image-missing', { workflow: 'deploy' }],
    ['an unknown image', 422, 'image-unknown', { workflow: 'deploy', image: 'nix' }],
    ['a capture without a name', 422, 'image-missing', { workflow: 'capture' }],
    ['an image for a wipe', 422, 'image-unused', { workflow: 'wipe', image: 'debian' }],
    ['an unknown workflow', 400, 'bad-request', { workflow: 'format' }],
    ['an unknown option', 400, 'bad-request', { workflow: 'wipe', fast: true }],
    ['a hint that is none', 400, 'bad-request', { workflow: 'wipe', disk: { path: 'sda' } }],
  ]
  for (const [what, status, code, body] of senseless)
    it(`refuses ${what} with ${status}`, async () => {
      await app.call('PUT', `/api/machines/${mac('10')}`, {})
      const answer = await post({ mac: mac('10'), ...body })
      assert.deepEqual([answer.status, answer.body.error.code], [status, code])
      assert.match(answer.body.error.message, /^[A-Z].*[^.]$/)
    })

  it('answers 404 for a run that is not there and 400 for an id that is none', async () => {
    const id = '01890a5d-ac96-774b-bcce-b302099a8057'
    assert.equal((await app.call('GET', `/api/runs/${id}`)).status, 404)
    assert.equal((await app.call('POST', `/api/runs/${id}/cancel`)).status, 404)
    assert.equal((await app.call('GET', '/api/runs/1')).status, 400)
  })
})
