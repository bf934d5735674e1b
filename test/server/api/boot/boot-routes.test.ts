import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import type { Machine } from '#protocol/machine/machine.ts'
import type { Run } from '#protocol/run/run.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const PUBLIC = { token: null }

describeOnEveryDatabase('boot routes', (_open, database) => {
  let app: TestApp
  before(async () => {
    app = await openTestApp({ database, env: { STAMPEDE_TRUST_RELAYED: '1' } })
  })
  after(() => app[Symbol.asyncDispose]())

  const script = (mac: string) =>
    app.call<string>('GET', `/boot/${mac}.ipxe`, undefined, PUBLIC).then(({ body }) => body)

  async function queue(mac: string): Promise<Run> {
    await app.call('PUT', `/api/machines/${mac}`, {})
    const answer = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'wipe' })
    assert.equal(answer.status, 201)
    return answer.body
  }

  it('sends an unknown machine to the agent for its inventory, three times an hour at most', async () => {
    const mac = '52:54:00:00:01:01'
    for (let i = 0; i < 3; i++) assert.match(await script(mac), /stampede\.token=/)
    assert.doesNotMatch(await script(mac), /stampede\.token=/)
    app.clock.advance(3601)
    assert.match(await script(mac), /stampede\.token=/)
    const { body } = await app.call<Machine>('GET', `/api/machines/${mac}`)
    assert.equal(body.state, 'discovered')
    assert.equal(body.lastSeenAt, app.clock.now().toISOString())
  })

  it('sends a machine with a run to the agent, under any spelling of its MAC', async () => {
    const run = await queue('52:54:00:00:01:02')
    for (const spelling of ['52-54-00-00-01-02', '525400000102', '52:54:00:00:01:02']) {
      const text = await script(spelling)
      assert.match(text, /^#!ipxe\n/)
      assert.ok(text.includes(`kernel ${app.url}/boot/kernel`), text)
      assert.ok(text.includes(`stampede.url=${app.url}`), text)
      assert.match(text, /stampede\.mac=52:54:00:00:01:02 /)
    }
    const { body } = await app.call<Run>('GET', `/api/runs/${run.id}`)
    assert.equal(body.state, 'booting')
  })

  it('gives no token to whoever only asks for the head of a script, and starts nothing', async () => {
    const run = await queue('52:54:00:00:01:05')
    const head = await app.call('HEAD', '/boot/52-54-00-00-01-05.ipxe', undefined, PUBLIC)
    assert.equal(head.status, 200)
    const { body } = await app.call<Run>('GET', `/api/runs/${run.id}`)
    assert.equal(body.state, 'queued')
  })

  it('sends a machine that an operator entered to its disk when there is nothing to do', async () => {
    await app.call('PUT', '/api/machines/52:54:00:00:01:03', {})
    assert.match(await script('52:54:00:00:01:03'), /sanboot --no-describe --drive 0x80/)
  })

  it('shows why the last run failed, and then boots the disk', async () => {
    const run = await queue('52:54:00:00:01:04')
    await script('52:54:00:00:01:04')
    app.clock.advance(15 * 60)
    await app.tick()
    const { body } = await app.call<Run>('GET', `/api/runs/${run.id}`)
    assert.equal(body.state, 'timed-out')
    const text = await script('52:54:00:00:01:04')
    assert.match(text, /The last wipe timed out/)
    assert.doesNotMatch(text, /stampede\.token=/)
  })

  it('refuses a name that is no MAC', async () => {
    const answer = await app.call('GET', '/boot/nothing.ipxe', undefined, PUBLIC)
    assert.equal(answer.status, 400)
  })

  it('serves kernel and initramfs that were dropped into the data folder, with their length', async () => {
    await mkdir(join(app.dataFolder, 'boot'), { recursive: true })
    await writeFile(join(app.dataFolder, 'boot/kernel'), 'not really a kernel')
    const got = await app.call('GET', '/boot/kernel', undefined, PUBLIC)
    assert.equal(got.body, 'not really a kernel')
    assert.equal(got.headers.get('content-length'), '19')
    const head = await app.call('HEAD', '/boot/kernel', undefined, PUBLIC)
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-length'), '19')
    assert.equal(head.body, '')
  })

  it('serves boot files by name only', async () => {
    await writeFile(join(app.dataFolder, 'boot/own.efi'), 'own build')
    const got = await app.call('GET', '/boot/files/own.efi', undefined, PUBLIC)
    assert.equal(got.body, 'own build')
    for (const [name, status] of [
      ['..%2Fadmin-token', 404],
      ['..%2F..%2Fetc%2Fpasswd', 404],
      ['absent.efi', 404],
      ['%00', 400],
    ] as const) {
      const refused = await app.call('GET', `/boot/files/${name}`, undefined, PUBLIC)
      assert.equal(refused.status, status, name)
    }
  })
})

describeOnEveryDatabase('boot routes for askers from beyond the link', (_open, database) => {
  it('hand out no token, and change nothing but lastSeenAt', async () => {
    await using app = await openTestApp({ database })
    const mac = '52:54:00:00:01:01'
    const ask = () => app.call<string>('GET', `/boot/${mac}.ipxe`, undefined, PUBLIC)
    const unknown = (await ask()).body
    assert.doesNotMatch(unknown, /stampede\.token=/)
    assert.match(unknown, /This machine is not known yet/)
    assert.equal((await app.call('GET', `/api/machines/${mac}`)).status, 404)

    await app.call('PUT', `/api/machines/${mac}`, {})
    const run = await app.call<Run>('POST', '/api/runs', { mac, workflow: 'wipe' })
    const text = (await ask()).body
    assert.doesNotMatch(text, /stampede\.token=/)
    assert.match(text, /A run waits for this machine/)
    const { body } = await app.call<Run>('GET', `/api/runs/${run.body.id}`)
    assert.equal(body.state, 'queued')
    const machine = await app.call<Machine>('GET', `/api/machines/${mac}`)
    assert.equal(machine.body.lastSeenAt, app.clock.now().toISOString())
  })
})

describeOnEveryDatabase('boot routes for unknown machines', (_open, database) => {
  for (const [policy, isRemembered] of [
    ['local', true],
    ['ignore', false],
  ] as const)
    it(`send them to their disk under the policy ${policy}`, async () => {
      const env = { STAMPEDE_TRUST_RELAYED: '1', STAMPEDE_UNKNOWN: policy }
      await using app = await openTestApp({ database, env })
      const mac = '52:54:00:00:01:01'
      const { body } = await app.call<string>('GET', `/boot/${mac}.ipxe`, undefined, PUBLIC)
      assert.match(body, /sanboot/)
      assert.doesNotMatch(body, /stampede\.token=/)
      const { status } = await app.call('GET', `/api/machines/${mac}`)
      assert.equal(status, isRemembered ? 200 : 404)
    })
})
