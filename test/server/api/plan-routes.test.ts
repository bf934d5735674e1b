import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { Plan, PlannedRuns } from '#protocol/plan.ts'
import type { Run } from '#protocol/run.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import { addImage } from '#test/support/named-image.ts'
import { bootToken, hello } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

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
      createdBy: 'admin',
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
      problems: [],
    })
    const read = await app.call<Plan>('GET', `/api/plans/${body.id}`)
    assert.deepEqual(read.body, body)
  })

  it('starts a run that is held to the plan', async () => {
    const { inventory } = await openMachine('02')
    const { body } = await plan({ macs: [mac('02')], image: 'debian' })
    const run = await start({ plan: body.id, confirmation: 'host-02' })
    assert.equal(run.status, 201, JSON.stringify(run.body))
    assert.equal(run.body.plan, body.id)
    assert.equal(run.headers.get('location'), `/api/runs/${run.body.id}`)
    const agent = await hello(app, mac('02'), await bootToken(app, mac('02')), inventory)
    assert.deepEqual(agent.body.run?.expected, body.items[0]?.target)
  })
})
