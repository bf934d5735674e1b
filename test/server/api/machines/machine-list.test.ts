import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { Machine, RefusedMachines } from '#protocol/machine/machine.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { bootToken, hello, queueRun } from '#test/support/test-agent.ts'
import { createInventory } from '#test/support/inventory.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const MIB = 1024 ** 2
const mac = (end: number) => `52:54:00:00:0b:0${end}`
interface List {
  items: Machine[]
  next: string | null
}

describeOnEveryDatabase('finding machines', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    await app.call('PUT', `/api/machines/${mac(1)}`, { name: 'Rack-b', tags: ['web 100%'] })
    await app.call('PUT', `/api/machines/${mac(2)}`, { name: 'rack-a', image: 'debian' })
    await app.call('PUT', `/api/machines/${mac(3)}`, { name: 'rack-c', locked: true })
    const smbios = { product: 'PowerEdge R650', manufacturer: 'Dell Inc.', serial: 'SER-77' }
    await hello(app, mac(4), await bootToken(app, mac(4)), createInventory({ smbios }))
  })
  after(() => app[Symbol.asyncDispose]())

  const find = async (query: string) => {
    const answer = await app.call<List>('GET', `/api/machines?${query}`)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body.items.map((machine) => Number(machine.mac.at(-1)))
  }

  const queries: [query: string, found: number[]][] = [
    ['q=RACK', [1, 2, 3]],
    ['q=rack%20web', [1]],
    ['q=100%25', [1]],
    ['q=r_ck', []],
    ['q=dell%20poweredge', [4]],
    ['q=ser-77', [4]],
    ['q=5254.0000.0b02', [2]],
    ['q=00-0B-03', [3]],
    ['state=ready&locked=true', [3]],
    ['image=debian', [2]],
    ['tag=web%20100%25', [1]],
    ['sort=name', [4, 2, 1, 3]],
    ['sort=-name', [3, 1, 2, 4]],
    ['sort=product&limit=1', [4]],
    ['sort=-lastSeenAt&limit=1', [4]],
  ]
  for (const [query, found] of queries)
    it(`${query} finds ${found.join(', ') || 'none'}`, async () => {
      assert.deepEqual(await find(query), found)
    })

  it('goes through pages of any order, each machine once', async () => {
    for (const sort of ['name', '-image', 'serial', '-lastSeenAt', 'state', '-mac']) {
      const seen: string[] = []
      for (let next: string | null = ''; next !== null;) {
        const cursor: string = next && `&after=${encodeURIComponent(next)}`
        const url = `/api/machines?inventory=false&limit=1&sort=${sort}${cursor}`
        const { body } = await app.call<List>('GET', url)
        seen.push(...body.items.map((machine) => machine.mac))
        next = body.next
      }
      assert.deepEqual(seen.toSorted(), [mac(1), mac(2), mac(3), mac(4)], sort)
    }
    const first = await app.call<List>('GET', '/api/machines?limit=1&sort=name')
    const other = await app.call('GET', `/api/machines?sort=state&after=${first.body.next}`)
    assert.equal(other.status, 400)
  })

  it('ends a page where inventories fill it, and goes on from there', async () => {
    const large = (end: number) => `52:54:00:00:0c:0${end}`
    for (const end of [1, 2, 3]) {
      const smbios = { serial: `LARGE-${end}`, assetTag: 'x'.repeat(2.5 * MIB) }
      const inventory = createInventory({ smbios })
      await hello(app, large(end), await bootToken(app, large(end)), inventory)
    }
    for (const sort of ['mac', '-serial']) {
      const pages: number[][] = []
      for (let next: string | null = ''; next !== null;) {
        const cursor: string = next && `&after=${encodeURIComponent(next)}`
        const { body } = await app.call<List>('GET', `/api/machines?q=large-&sort=${sort}${cursor}`)
        for (const { inventory } of body.items)
          assert.equal(inventory?.smbios.assetTag?.length, 2.5 * MIB)
        pages.push(body.items.map((machine) => Number(machine.mac.at(-1))))
        next = body.next
      }
      assert.deepEqual(pages, sort === 'mac' ? [[1, 2], [3]] : [[3, 2], [1]], sort)
    }
    const { body } = await app.call<List>('GET', '/api/machines?q=large-&inventory=false')
    assert.deepEqual([body.items.length, body.next], [3, null])
  })

  it('leaves inventories out if asked to, and tells what they said', async () => {
    const { body } = await app.call<List>('GET', '/api/machines?q=ser-77&inventory=false')
    assert.equal(body.items[0]!.inventory, undefined)
    assert.partialDeepStrictEqual(body.items[0], { product: 'PowerEdge R650', serial: 'SER-77' })
  })

  it('changes many at once, and says which it could not', async () => {
    const set = { image: 'other', addTags: ['new'], removeTags: ['web 100%'] }
    const macs = [mac(1), mac(2), mac(9)]
    type Answer = { items: Machine[]; refused: RefusedMachines }
    const { body } = await app.call<Answer>('PATCH', '/api/machines', { macs, set })
    assert.deepEqual(
      body.items.map((machine) => [machine.mac, machine.image, machine.tags]),
      [
        [mac(1), 'other', ['new']],
        [mac(2), 'other', ['new']],
      ],
    )
    assert.deepEqual(
      body.refused.map((refusal) => [refusal.mac, refusal.error.code]),
      [[mac(9), 'not-found']],
    )
    const { body: read } = await app.call<Machine>('GET', `/api/machines/${mac(1)}`)
    assert.deepEqual([read.image, read.name], ['other', 'Rack-b'])
  })

  it('shows the script without a token, and changes nothing by it', async () => {
    const run = await queueRun(app, mac(5))
    const before = await app.call<Machine>('GET', `/api/machines/${mac(5)}`)
    const { body } = await app.call<string>('GET', `/api/machines/${mac(5)}/script`)
    assert.match(body, /^#!ipxe\n[^]*stampede\.token=<token> /)
    const after = await app.call<Machine>('GET', `/api/machines/${mac(5)}`)
    assert.deepEqual(after.body, before.body)
    assert.deepEqual([after.body.run?.id, after.body.run?.state], [run.id, 'queued'])
  })

  it('forgets many at once, but none that is at work', async () => {
    await queueRun(app, mac(6))
    const macs = [mac(3), mac(6), mac(9)]
    type Answer = { deleted: string[]; refused: RefusedMachines }
    const { body } = await app.call<Answer>('POST', '/api/machines/delete', { macs })
    assert.deepEqual(body.deleted, [mac(3)])
    const refused = new Map(body.refused.map((refusal) => [refusal.mac, refusal.error.code]))
    assert.deepEqual([refused.get(mac(6)), refused.get(mac(9))], ['run-active', 'not-found'])
  })

  it('tells of network and system what is so', async () => {
    const network = await app.call<{ dhcp: object }>('GET', '/api/network')
    assert.deepEqual([network.status, network.body.dhcp], [200, { mode: 'off', dns: [] }])
    const system = await app.call<{ checks: { name: string; ok: boolean }[] }>('GET', '/api/system')
    assert.equal(system.status, 200)
    for (const name of ['database', 'store', 'clock'])
      assert.ok(
        system.body.checks.some((check) => check.name === name),
        name,
      )
    assert.equal(system.body.checks.find(({ name }) => name === 'database')?.ok, true)
  })
})
