import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, it } from 'node:test'
import { sql } from 'drizzle-orm'
import type { Plan } from '#protocol/run/plan.ts'
import { lastEventId } from '#server/db/events.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { createInventory } from '#test/support/inventory.ts'
import { bootToken, hello } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const mac = (end: number) => `52:54:00:00:0e:0${end}`
const LARGE = [1, 2, 3].map(mac)
const ORDINARY = [4, 5, 6].map(mac)

/** Of 700 kB that no compression makes half as large. */
function incompressible(seed: string): string {
  const hashes = Array.from({ length: 16_000 }, (_, index) =>
    createHash('sha256').update(`${seed} ${index}`).digest('base64'),
  )
  return hashes.join('')
}

describeOnEveryDatabase('many machines with large inventories', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    for (const key of [...LARGE, ...ORDINARY]) {
      const smbios = { ...(LARGE.includes(key) && { assetTag: incompressible(key) }) }
      await hello(app, key, await bootToken(app, key), createInventory({ smbios }))
    }
  })
  after(() => app[Symbol.asyncDispose]())

  /** The machines that each transaction told of since then, in this order. */
  async function toldSince(id: number): Promise<string[][]> {
    const result = await app.database.db.execute(sql`
      select array_agg(data->>'mac' order by id) as macs from events
      where id > ${id} and kind = 'machine' group by xmin::text order by min(id)`)
    return (result as unknown as { rows: { macs: string[] }[] }).rows.map(({ macs }) => macs)
  }

  const all = [...LARGE, ...ORDINARY]
  const pieces = [[mac(1)], [mac(2)], [mac(3), ...ORDINARY]]

  it('are changed a few at once', async () => {
    const before = await lastEventId(app.database.db)
    const { body } = await app.call<{ items: { mac: string }[] }>('PATCH', '/api/machines', {
      macs: all,
      set: { addTags: ['large'] },
    })
    assert.deepEqual(
      body.items.map((machine) => machine.mac),
      all,
    )
    assert.deepEqual(await toldSince(before), pieces)
  })

  it('get their runs of a plan a few at once', async () => {
    const { body: plan } = await app.call<Plan>('POST', '/api/plans', {
      macs: all,
      workflow: 'wipe',
    })
    const before = await lastEventId(app.database.db)
    const { confirmation } = plan
    const { status, body } = await app.call<{ items: { id: string }[] }>('POST', '/api/runs', {
      plan: plan.id,
      confirmation,
    })
    assert.deepEqual([status, body.items.length], [201, all.length])
    assert.deepEqual(await toldSince(before), pieces)
    for (const { id } of body.items) await app.call('POST', `/api/runs/${id}/cancel`)
  })

  it('are deleted a few at once', async () => {
    const before = await lastEventId(app.database.db)
    const { body } = await app.call('POST', '/api/machines/delete', { macs: all })
    assert.deepEqual(body, { deleted: all, refused: [] })
    assert.deepEqual(await toldSince(before), pieces)
  })
})
