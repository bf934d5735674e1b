import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eq } from 'drizzle-orm'
import { parseMac } from '#protocol/mac.ts'
import type { Plan, PlannedRuns } from '#protocol/run/plan.ts'
import type { Run } from '#protocol/run/run.ts'
import { machines } from '#server/db/schema.ts'
import { createPlannedRuns } from '#server/runs/create-planned-runs.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import { addImage } from '#test/support/named-image.ts'
import { bootToken, hello, readRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { untilOneWaits } from '#test/support/until-one-waits.ts'

type Refusal = { error: { code: string; message: string; details?: unknown } }

describeOnEveryDatabase('plan routes', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    await addImage(app, 'debian', { sizeBytes: 1024 ** 3 })
  })
  after(() => app[Symbol.asyncDispose]())

  const mac = (end: string) => `52:54:00:00:16:${end}`
  const plan = (body: object) =>
    app.call<Plan & Refusal>('POST', '/api/plans', { workflow: 'deploy', ...body })
  const start = (body: object) => app.call<Run & PlannedRuns & Refusal>('POST', '/api/runs', body)

  /** A machine that has sent its inventory. */
  async function openMachine(end: string, fields: object = {}, inventory = createInventory()) {
    const own = { ...inventory, smbios: { uuid: `4c4c4544-0042-4710-8058-b4c04f4a16${end}` } }
    const answer = await hello(app, mac(end), await bootToken(app, mac(end)), own)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    await app.call('PUT', `/api/machines/${mac(end)}`, { name: `host-${end}`, ...fields })
    return { mac: mac(end), inventory: own }
  }

  it('says which disk a deploy would write and what is lost', async () => {
    const disk = createDisk()
    await openMachine('01', { image: 'debian' }, createInventory({ disks: [disk] }))
    const { status, headers, body } = await plan({ macs: ['525400001601'] })
    assert.equal(status, 201, JSON.stringify(body))
    assert.equal(headers.get('location'), `/api/plans/${body.id}`)
    assert.partialDeepStrictEqual(body, {
      workflow: 'deploy',
      image: 'debian',
      createdBy: 'admin token',
      destructive: true,
      confirmation: 'host-01',
      request: { workflow: 'deploy', macs: ['525400001601'] },
    })
    const [item] = body.items
    assert.partialDeepStrictEqual(item, {
      mac: mac('01'),
      hostname: 'host-01',
      image: 'debian',
      inventoryAt: app.clock.now().toISOString(),
      target: { path: disk.path, serial: disk.serial, fingerprint: disk.fingerprint },
      fit: { imageBytes: 1024 ** 3, diskBytes: disk.sizeBytes },
    })
    assert.deepEqual(item?.problems, [])
    const read = await app.call<Plan>('GET', `/api/plans/${body.id}`)
    assert.deepEqual(read.body, body)
  })

  it('knows a machine by any of its cards, and says of one that is not known that it is not', async () => {
    const nics = [{ name: 'eth1', mac: mac('a3'), link: true, addresses: [] }]
    await openMachine('03', {}, createInventory({ nics }))
    const macs = [mac('03'), mac('a3'), mac('ff')]
    const { body } = await plan({ macs, workflow: 'wipe' })
    assert.deepEqual(
      body.items.map((item) => [item.mac, item.problems.map(({ code }) => code)]),
      [
        [mac('03'), []],
        [mac('ff'), ['machine-unknown']],
      ],
    )
    assert.equal(body.confirmation, '1')
  })

  it('makes no plan of a capture of two machines, or of settings that mean nothing', async () => {
    const two = await plan({ workflow: 'capture', image: 'x', macs: [mac('01'), mac('02')] })
    assert.equal(two.status, 422)
    assert.equal(two.body.error.code, 'one-machine')
    const network = { address: '10.0.0.999/24' }
    assert.equal((await plan({ macs: [mac('01')], network })).status, 422)
    assert.equal((await plan({ macs: [] })).status, 400)
    assert.equal((await plan({ macs: [mac('01')], workflow: 'inventory' })).status, 400)
    const unknown = await app.call('GET', '/api/plans/01980000-0000-7000-8000-000000000000')
    assert.equal(unknown.status, 404)
  })

  it('starts a run that is held to the plan, once', async () => {
    const { inventory } = await openMachine('02')
    const { body } = await plan({ macs: [mac('02')], image: 'debian' })
    const wrong = await start({ plan: body.id, confirmation: 'host-03' })
    assert.equal(wrong.status, 422)
    assert.match(wrong.body.error.message, /Type "host-02" .* not "host-03"/)
    const run = await start({ plan: body.id, confirmation: 'host-02' })
    assert.equal(run.status, 201, JSON.stringify(run.body))
    assert.equal(run.body.plan, body.id)
    assert.equal(run.body.state, 'queued')
    assert.equal(run.headers.get('location'), `/api/runs/${run.body.id}`)
    const again = await start({ plan: body.id, mac: mac('02') })
    assert.equal(again.status, 409)
    assert.equal(again.body.error.code, 'plan-used')
    const agent = await hello(app, mac('02'), await bootToken(app, mac('02')), inventory)
    assert.deepEqual(agent.body.run?.expected, body.items[0]?.target)
  })

  it('names what is wrong with a request of either kind', async () => {
    const planned = await start({ plan: 'x', image: 'debian' })
    assert.equal(planned.status, 400)
    assert.match(planned.body.error.message, /image/)
    assert.doesNotMatch(planned.body.error.message, /workflow/)
    const plain = await start({ mac: 'x', workflow: 'deploy' })
    assert.match(plain.body.error.message, /mac must be a MAC address/)
    const missing = await start({ plan: '01980000-0000-7000-8000-000000000000' })
    assert.equal(missing.status, 404)
  })

  const changes: [
    name: string,
    end: string,
    change: (mac: string) => Promise<unknown>,
    reason: RegExp,
  ][] = [
    [
      'another serial in a newer inventory',
      '20',
      (key) => send(key, { serial: 'swapped' }),
      /Disk serial is "swapped" but the plan said "disk-1"/,
    ],
    ['another size', '21', (key) => send(key, { sizeBytes: 512 }), /Disk size is 512 bytes/],
    [
      'another content',
      '22',
      (key) => send(key, { fingerprint: '1'.repeat(64) }),
      /What is on the disk .* is not what the plan said/,
    ],
    [
      'other hints',
      '23',
      (key) => patch(key, { disk: { serial: 'disk-1' } }),
      /settings were changed \(disk hints\)/,
    ],
    ['another hostname', '24', (key) => patch(key, { hostname: 'x' }), /changed \(hostname\)/],
    [
      'an image of that name with other content',
      '25',
      () => addImage(app, 'moving', { content: 'newer' }),
      /Image "moving" has been replaced by another/,
    ],
    [
      'a deleted image',
      '26',
      () => app.call('DELETE', '/api/images/moving'),
      /Image "moving" was deleted/,
    ],
  ]
  for (const [name, end, change, reason] of changes)
    it(`is outdated by ${name}`, async () => {
      await addImage(app, 'moving')
      await openMachine(end)
      const { body } = await plan({ macs: [mac(end)], image: 'moving' })
      assert.deepEqual(body.items[0]?.problems, [])
      await change(mac(end))
      const refused = await start({ plan: body.id })
      assert.equal(refused.status, 409, JSON.stringify(refused.body))
      assert.equal(refused.body.error.code, 'plan-outdated')
      assert.match(refused.body.error.message, reason)
      assert.match((refused.body.error.details as string[]).join(), reason)
    })

  const patch = (key: string, body: object) => app.call('PATCH', `/api/machines/${key}`, body)

  /** A newer inventory, with a disk that has changed. */
  async function send(key: string, change: Parameters<typeof createDisk>[0]): Promise<void> {
    const { body } = await start({ mac: key, workflow: 'inventory' })
    const smbios = { uuid: `4c4c4544-0042-4710-8058-b4c04f4a16${key.slice(-2)}` }
    const inventory = createInventory({ smbios, disks: [createDisk(change)] })
    const answer = await hello(app, key, await bootToken(app, key), inventory)
    const token = answer.body.sessionToken
    const ended = await app.call(
      'POST',
      `/agent/runs/${body.id}/result`,
      { state: 'succeeded' },
      { token },
    )
    assert.equal(ended.status, 200, JSON.stringify(ended.body))
  }

  it('starts nothing on a machine that was locked, or has another run, meanwhile', async () => {
    await openMachine('30')
    const { body } = await plan({ macs: [mac('30')], image: 'debian' })
    await patch(mac('30'), { locked: true })
    const locked = await start({ plan: body.id })
    assert.equal(locked.status, 409)
    assert.equal(locked.body.error.code, 'machine-locked')
    await patch(mac('30'), { locked: false })
    await start({ mac: mac('30'), workflow: 'wipe' })
    const busy = await start({ plan: body.id })
    assert.equal(busy.status, 409)
    assert.equal(busy.body.error.code, 'run-active')
  })

  it('starts nothing that the plan said cannot be done, though it could be by now', async () => {
    await openMachine('31', { locked: true })
    const { body } = await plan({ macs: [mac('31')], image: 'debian' })
    await patch(mac('31'), { locked: false })
    const refused = await start({ plan: body.id })
    assert.equal(refused.status, 409)
    assert.match(refused.body.error.message, /^The plan says that nothing can be done .* locked/)
  })

  it('is started by who made it, who has read it, or by an admin', async () => {
    await openMachine('33')
    const { body } = await plan({ macs: [mac('33')], workflow: 'wipe' })
    const start = (name: string, isAdmin: boolean) =>
      createPlannedRuns(app.database.db, { plan: body.id }, { name, isAdmin }, app.clock.now())
    await assert.rejects(start('eva', false), { status: 403, code: 'plan-of-another' })
    assert.ok('id' in (await start('eva', true)))
  })

  it('is good for an hour', async () => {
    await openMachine('32')
    const { body } = await plan({ macs: [mac('32')], image: 'debian' })
    app.clock.advance(3599)
    const other = await plan({ macs: [mac('32')], workflow: 'wipe' })
    app.clock.advance(1)
    const refused = await start({ plan: body.id })
    assert.equal(refused.status, 409)
    assert.equal(refused.body.error.code, 'plan-expired')
    assert.equal((await start({ plan: other.body.id })).status, 201)
  })

  it('of several machines, starts those that can be and says why not the others', async () => {
    for (const end of ['40', '41', '42', '43']) await openMachine(end)
    const macs = ['40', '41', '42', '43'].map(mac)
    await patch(mac('43'), { locked: true })
    const { body } = await plan({ macs, workflow: 'wipe' })
    assert.equal(body.confirmation, '3')
    await start({ mac: mac('41'), workflow: 'wipe' })
    const wrong = await start({ plan: body.id, confirmation: '4' })
    assert.equal(wrong.status, 422)
    const made = await start({ plan: body.id, confirmation: '3' })
    assert.equal(made.status, 201, JSON.stringify(made.body))
    assert.deepEqual(
      made.body.items.map((run) => [run.mac, run.plan, run.state]),
      [mac('40'), mac('42')].map((one) => [one, body.id, 'queued']),
    )
    assert.deepEqual(
      made.body.refused.map((one) => [one.mac, one.error.code]),
      [
        [mac('41'), 'run-active'],
        [mac('43'), 'machine-locked'],
      ],
    )
    const { body: machine } = await app.call<{ state: string }>('GET', `/api/machines/${mac('40')}`)
    assert.equal(machine.state, 'queued')
    const one = await start({ plan: body.id, mac: mac('42') })
    assert.equal(one.body.error.code, 'plan-used')
    const stranger = await start({ plan: body.id, mac: mac('01') })
    assert.equal(stranger.body.error.code, 'not-planned')
  })

  it('a machine that is deleted in that moment gets no run, and keeps none from others', async () => {
    for (const end of ['46', '47']) await openMachine(end)
    const macs = ['46', '47'].map(mac)
    const { body } = await plan({ macs, workflow: 'wipe' })
    const started = await app.database.db.transaction(async (tx) => {
      await tx.delete(machines).where(eq(machines.mac, parseMac(mac('46'))))
      const answer = start({ plan: body.id })
      if (database === 'postgres') await untilOneWaits(tx)
      return { answer }
    })
    const made = await started.answer
    assert.equal(made.status, 201, JSON.stringify(made.body))
    assert.deepEqual(
      made.body.items.map((run) => run.mac),
      [mac('47')],
    )
    assert.deepEqual(
      made.body.refused.map((one) => [one.mac, one.error.code]),
      [[mac('46'), 'plan-outdated']],
    )
  })

  it('of several captures into one image that are started at once, one starts', async () => {
    const plans: Plan[] = []
    for (const end of ['48', '49', '4a', '4b']) {
      await openMachine(end)
      const capture = { workflow: 'capture', image: 'contested' }
      plans.push((await plan({ macs: [mac(end)], ...capture })).body)
    }
    const answers = await Promise.all(plans.map(({ id }) => start({ plan: id })))
    const statuses = answers.map(({ status }) => status)
    assert.deepEqual(
      statuses.toSorted((a, b) => a - b),
      [201, 409, 409, 409],
    )
  })

  it('of two calls at once, one starts the run', async () => {
    await openMachine('44')
    const { body } = await plan({ macs: [mac('44')], workflow: 'wipe' })
    const answers = await Promise.all([1, 2, 3, 4].map(() => start({ plan: body.id })))
    const refused = answers.filter(({ status }) => status === 409)
    const made = answers.filter(({ status }) => status === 201)
    assert.deepEqual([made.length, refused.length], [1, 3])
  })

  it('is not started by BOOTy, which cannot be held to it', async () => {
    await openMachine('45')
    const { body } = await plan({ macs: [mac('45')], image: 'debian' })
    const run = await start({ plan: body.id })
    const path = `/${mac('45').replaceAll(':', '-')}.bty`
    const headers = { 'user-agent': 'BOOTy-client' }
    const asked = await app.call<Refusal>('GET', path, undefined, { token: null, headers })
    assert.equal(asked.status, 404)
    assert.equal(asked.body.error.code, 'not-for-booty')
    const { state, log } = await readRun(app, run.body.id)
    assert.equal(state, 'queued')
    assert.match(log[0]?.text ?? '', /BOOTy cannot do this run: The run is held to a plan/)
  })

  describe('at the hello of the agent', () => {
    const cases: [name: string, end: string, change: object, reason: RegExp][] = [
      ['serial', '50', { serial: 'B' }, /Disk serial is "B" but the plan said "disk-1"/],
      ['model', '51', { model: 'Other' }, /Disk model is "Other" but the plan said none/],
      ['size', '52', { sizeBytes: 8e9 }, /Disk size is 8\.0 GB \(8000000000 bytes\) but the plan/],
      ['content', '53', { fingerprint: 'f'.repeat(64) }, /What is on the disk/],
    ]
    for (const [name, end, change, reason] of cases)
      it(`another ${name} fails the run before anybody may write`, async () => {
        const { inventory } = await openMachine(end)
        const { body } = await plan({ macs: [mac(end)], image: 'debian' })
        const { body: run } = await start({ plan: body.id })
        const found = { ...inventory, disks: [createDisk(change)] }
        const answer = await hello(app, mac(end), await bootToken(app, mac(end)), found)
        assert.equal(answer.status, 409)
        const { error } = answer.body as unknown as Refusal
        assert.equal(error.code, 'plan-mismatch')
        assert.match(error.message, reason)
        const ended = await readRun(app, run.id)
        assert.equal(ended.state, 'failed')
        assert.equal(ended.error, error.message)
        // What was found is on record, so that the next plan is right.
        const next = await plan({ macs: [mac(end)], image: 'debian' })
        assert.partialDeepStrictEqual(next.body.items[0]?.target, change)
        assert.deepEqual(next.body.items[0]?.problems, [])
      })

    it('a second disk fails it, too: which one was meant is a guess', async () => {
      const { inventory } = await openMachine('54')
      const { body } = await plan({ macs: [mac('54')], workflow: 'wipe' })
      const { body: run } = await start({ plan: body.id })
      const disks = [createDisk(), createDisk({ path: '/dev/vdb', serial: 'other' })]
      await hello(app, mac('54'), await bootToken(app, mac('54')), { ...inventory, disks })
      assert.match((await readRun(app, run.id)).error ?? '', /^2 disks fit/)
    })

    it("the content counts until the run's own agent has begun to write", async () => {
      const { inventory } = await openMachine('55')
      const { body } = await plan({ macs: [mac('55')], image: 'debian' })
      const { body: run } = await start({ plan: body.id })
      const agent = await startAgent(app, mac('55'), inventory)
      await agent.report({ step: 'write-image' })
      app.clock.advance(61)
      const half = { ...inventory, disks: [createDisk({ fingerprint: 'e'.repeat(64) })] }
      const second = await startAgent(app, mac('55'), half)
      assert.equal(second.run.attempt, 2)
      assert.deepEqual(second.run.expected, withoutContent(body))
      app.clock.advance(61)
      const other = { ...inventory, disks: [createDisk({ serial: 'B' })] }
      const third = await hello(app, mac('55'), await bootToken(app, mac('55')), other)
      assert.equal(third.status, 409)
      assert.match((await readRun(app, run.id)).error ?? '', /Disk serial is "B"/)
    })
  })

  function withoutContent({ items }: Plan) {
    const { fingerprint: _fingerprint, ...identity } = items[0]!.target!
    return identity
  }

  it('after a deploy goes by what the agent found at its end, else by the disk alone', async () => {
    const { inventory } = await openMachine('60')
    const deploy = async (result: object) => {
      const { body } = await plan({ macs: [mac('60')], workflow: 'wipe' })
      const { body: run } = await start({ plan: body.id })
      app.clock.advance(60)
      const agent = await startAgent(app, mac('60'), inventory)
      await agent.report({ step: 'wipe-disk' })
      app.clock.advance(60)
      const ended = await agent.result({ state: 'failed', error: 'x', ...result } as never)
      assert.equal(ended.status, 200, JSON.stringify(ended.body))
      return { run, item: (await plan({ macs: [mac('60')], workflow: 'wipe' })).body.items[0]! }
    }
    const blind = await deploy({})
    assert.equal(blind.item.target?.fingerprint, undefined)
    assert.match(blind.item.warnings[0]?.message ?? '', new RegExp(`^Run ${blind.run.id} wrote`))
    const after = { ...inventory, disks: [createDisk({ fingerprint: 'c'.repeat(64) })] }
    const known = await deploy({ state: 'succeeded', error: undefined, inventory: after })
    assert.equal(known.item.target?.fingerprint, 'c'.repeat(64))
    assert.deepEqual(known.item.warnings, [])
  })
})
