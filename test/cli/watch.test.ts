import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createInventory } from '#test/support/inventory.ts'
import { bootToken, hello } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { openCutProxy } from './cut-proxy.ts'
import { createShell, type Shell } from './stampede.ts'

const MAX_HELLO_BYTES = 4 * 1024 * 1024

describe('stampede machines watch', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    shell = createShell(app.port)
    await app.call('PUT', '/api/machines/52:54:00:00:02:01', { name: 'first' })
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })

  it('tells of machines that appear and change, line by line', async () => {
    const watching = shell.start(['machines', 'watch'])
    await watching.waitFor('Watching 1 machine')
    await app.call('PUT', '/api/machines/52:54:00:00:02:02', { name: 'second' })
    await watching.waitFor(/52:54:00:00:02:02 {2}second {2}appeared/)
    await app.call('PATCH', '/api/machines/52:54:00:00:02:01', { locked: true })
    await watching.waitFor(/first {2}locked/)
    await app.call('DELETE', '/api/machines/52:54:00:00:02:02')
    await watching.waitFor(/second {2}forgotten/)
    watching.child.kill('SIGINT')
    assert.equal((await watching.ended).code, 130)
  })

  it('tells of a machine whose inventory is as large as a server takes', async () => {
    const mac = '52:54:00:00:02:05'
    // What says who made a machine stands beside its inventory, too.
    const token = await bootToken(app, mac)
    const rest = JSON.stringify({ bootToken: token, mac, inventory: createInventory() }).length
    const manufacturer = 'Acme'.repeat((MAX_HELLO_BYTES - rest - 100) / 4)
    const inventory = createInventory({ smbios: { manufacturer } })
    const watching = shell.start(['machines', 'watch'])
    await watching.waitFor('Watching')
    const { status } = await hello(app, mac, token, inventory)
    assert.equal(status, 200)
    await app.call('PATCH', `/api/machines/${mac}`, { locked: true })
    await watching.waitFor(/52-54-00-00-02-05 {2}locked/)
    watching.child.kill('SIGINT')
    const { code, stderr } = await watching.ended
    assert.equal(code, 130)
    assert.doesNotMatch(stderr, /Connection lost/)
  })

  it('misses nothing while the connection is cut, and says so', async () => {
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const watching = shell.start(['machines', 'watch', '--json'], { env })
    await watching.waitFor('Watching')
    proxy.close()
    await watching.waitFor('Connection lost')
    await app.call('PUT', '/api/machines/52:54:00:00:02:03', { name: 'meanwhile' })
    proxy.open()
    await watching.waitFor('Connected again')
    await watching.waitFor('"name":"meanwhile"')
    assert.ok(proxy.requests().filter((line) => line === 'GET /api/events').length >= 2)
    watching.child.kill('SIGTERM')
    const { code, stdout } = await watching.ended
    assert.equal(code, 143)
    for (const line of stdout.trim().split('\n'))
      assert.ok((JSON.parse(line) as { mac: string }).mac)
  })

  it('draws a table in its place on a terminal, and leaves the cursor shown', async () => {
    const watching = shell.startOnTerminal(['machines', 'watch'], { columns: 80 })
    await watching.waitFor(/NAME +MAC +STATE/)
    await app.call('PUT', '/api/machines/52:54:00:00:02:04', { name: 'on-screen' })
    await watching.waitFor('on-screen')
    watching.write('\u0003')
    const { code, stdout } = await watching.ended
    assert.equal(code, 130)
    assert.ok(stdout.lastIndexOf('\u001b[?25h') > stdout.lastIndexOf('\u001b[?25l'))
  })

  it('is refused with the code for it', async () => {
    const { code } = await shell.run(['machines', 'watch'], { env: { STAMPEDE_TOKEN: 'wrong' } })
    assert.equal(code, 4)
  })
})
