import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import { pino } from 'pino'
import { parseIpv4 } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { openBootProgress } from '#server/network/boot-progress.ts'
import type { Database } from '#server/db/database.ts'
import { listEventsAfter } from '#server/db/events.ts'
import { createDatabaseLeaseStore } from '#server/db/network/leases.ts'
import { findMachine } from '#server/db/machines/machines.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { bootToken, hello, queueRun } from '#test/support/test-agent.ts'
import { openTestApp } from '#test/support/test-app.ts'

const MAC = parseMac('52:54:00:00:09:01')
const ADDRESS = parseIpv4('10.0.0.9')
const START = Date.parse('2026-05-01T12:00:00Z')

function openWatch(db: Database) {
  const clock = { seconds: 0 }
  const now = () => new Date(START + clock.seconds * 1000)
  const log = pino({ level: 'silent' })
  return { clock, now, boots: openBootProgress({ db, network: undefined, log, now }) }
}

const stagesOf = (machine: Machine | undefined) =>
  machine?.boot?.stages.map(({ stage, detail }) => [stage, detail])

describeOnEveryDatabase('boot progress', (openTestDatabase, kind) => {
  it('a machine appears with its first packet and goes on by its address, an event each', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const { boots, clock, now } = openWatch(db)
    {
      await using _boots = boots
      boots.dhcp(MAC, 'bios')
      const lease = { mac: MAC, address: ADDRESS, state: 'bound' as const }
      const expiresAt = new Date(START + 3_600_000)
      await createDatabaseLeaseStore(db).save({ ...lease, expiresAt }, now())
      clock.seconds = 2
      boots.file(ADDRESS, { stage: 'loader', detail: 'undionly.kpxe by TFTP' })
      boots.file(ADDRESS, { stage: 'loader', detail: 'undionly.kpxe by TFTP' })
      await waitFor(async () => (stagesOf(await findMachine(db, MAC))?.length ?? 0) === 2)
      clock.seconds = 6
      boots.dhcp(MAC, 'ipxe')
      boots.dhcp(MAC, 'ipxe')
    }
    const machine = await findMachine(db, MAC)
    assert.deepEqual(stagesOf(machine), [
      ['dhcp', 'BIOS'],
      ['loader', 'undionly.kpxe by TFTP'],
      ['ipxe', 'iPXE'],
    ])
    assert.equal(machine?.state, 'discovered')
    const { items: events } = await listEventsAfter(db, 0, 100)
    assert.equal(events.filter((event) => event.kind === 'machine').length, 3)
  })

  it('a phone is no machine, however often it asks', async () => {
    await using database = await openTestDatabase()
    const { boots } = openWatch(database.db)
    {
      await using _boots = boots
      for (let i = 0; i < 3; i++) boots.dhcp(MAC, undefined)
    }
    assert.equal(await findMachine(database.db, MAC), undefined)
  })

  it('a storm of one machine is written once', async () => {
    await using database = await openTestDatabase()
    const { boots } = openWatch(database.db)
    {
      await using _boots = boots
      for (let i = 0; i < 200; i++) boots.dhcp(MAC, 'efi-x64')
    }
    assert.equal((await listEventsAfter(database.db, 0, 100)).items.length, 1)
  })

  it('script, kernel and agent are told of, and where a boot ends at the disk', async () => {
    await using app = await openTestApp({ database: kind, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    const read = async () => (await app.call<Machine>('GET', `/api/machines/${MAC}`)).body
    await queueRun(app, MAC)
    const token = await bootToken(app, MAC)
    app.clock.advance(1)
    await writeFile(join(app.dataFolder, 'boot/kernel'), 'a kernel')
    await app.call('GET', '/boot/kernel', undefined, { token: null })
    await waitFor(async () => (await read()).boot?.stages.at(-1)?.stage === 'kernel')
    app.clock.advance(30)
    await hello(app, MAC, token)
    assert.deepEqual(stagesOf(await read()), [
      ['script', 'agent, for a wipe'],
      ['kernel', 'kernel'],
      ['agent', 'wipe, attempt 1'],
    ])
    const other = '52:54:00:00:09:02'
    await app.call('PUT', `/api/machines/${other}`, {})
    await app.call('GET', `/boot/${other}.ipxe`, undefined, { token: null })
    const { body } = await app.call<Machine>('GET', `/api/machines/${other}`)
    assert.deepEqual([stagesOf(body), body.boot?.endsAtScript], [[['script', 'local disk']], true])
  })

  it('who asks for a script without proof changes nothing', async () => {
    await using app = await openTestApp({ database: kind })
    await app.call('PUT', `/api/machines/${MAC}`, {})
    await app.call('GET', `/boot/${MAC}.ipxe`, undefined, { token: null })
    const { body } = await app.call<Machine>('GET', `/api/machines/${MAC}`)
    assert.equal(body.boot, undefined)
  })
})

async function waitFor(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await isTrue())) {
    assert.ok(Date.now() < deadline, 'It did not come about')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
