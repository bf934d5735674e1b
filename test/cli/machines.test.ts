import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Machine } from '#protocol/machine/machine.ts'
import { openSeededApp, type SeededApp } from '#test/support/seeded-app.ts'
import { createShell, type Shell } from './stampede.ts'

const MAC = '52:54:00:ab:cd:ef'

describe('stampede machines', () => {
  let app: SeededApp
  let shell: Shell
  before(async () => {
    app = await openSeededApp({ machines: 40 })
    shell = createShell(app.port)
    await app.call('PUT', `/api/machines/${MAC}`, { name: 'golden', tags: ['a', 'b'] })
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })
  const read = async () => (await app.call<Machine>('GET', `/api/machines/${MAC}`)).body

  it('lists all of them as the API does, pages joined', async () => {
    const { code, stdout } = await shell.run(['machines', 'ls', '--json'])
    assert.equal(code, 0)
    const list = JSON.parse(stdout) as { items: Machine[]; next: null }
    assert.equal(list.items.length, 41)
    assert.equal(list.next, null)
    const { body } = await app.call<{ items: Machine[] }>('GET', '/api/machines?inventory=false')
    assert.deepEqual(Object.keys(list.items[0]!), Object.keys(body.items[0]!))
  })

  it('prints a table that a pipe can read: no colours, nothing cut', async () => {
    const { stdout } = await shell.run(['machines', 'ls', '--tag', 'rack1', '--sort', '-name'])
    const [head, ...lines] = stdout.trimEnd().split('\n')
    assert.match(head!, /^NAME +MAC +STATE +IMAGE/)
    assert.match(lines[0]!, /^rack1-node20 +52:54:00:00:00:13 /)
    assert.ok(!stdout.includes('\u001b'))
  })

  it('fits the terminal, and has colours there unless NO_COLOR is set', async () => {
    const narrow = shell.startOnTerminal(['machines', 'ls'], { columns: 72 })
    const { stdout } = await narrow.ended
    assert.ok(stdout.includes('\u001b['))
    const widths = narrow
      .output()
      .split('\n')
      .map((line) => line.trimEnd().length)
    assert.ok(Math.max(...widths) <= 72, `${Math.max(...widths)} characters`)
    const plain = shell.startOnTerminal(['machines', 'ls'], { env: { NO_COLOR: '1' } })
    assert.ok(!(await plain.ended).stdout.includes('\u001b'))
  })

  it('finds a machine by name and by any spelling of its MAC', async () => {
    for (const name of ['golden', 'GOLDEN', '52-54-00-AB-CD-EF', '525400abcdef']) {
      const { code, stdout } = await shell.run(['machines', 'show', name, '--json'])
      assert.equal(code, 0, name)
      assert.equal((JSON.parse(stdout) as Machine).mac, MAC)
    }
    const { code, stderr } = await shell.run(['machines', 'show', 'rack1'])
    assert.equal(code, 3)
    assert.match(stderr, /No machine is called "rack1"; like it are rack1-node/)
  })

  it('shows hardware, disks and the boot with its stages', async () => {
    const { stdout } = await shell.run(['machines', 'show', 'rack1-node02'])
    assert.match(stdout, /Last boot\n +DHCP .*\n +boot loader \+\d+ s/)
    assert.match(stdout, /\/dev\/sda {2}960\.2 GB, .*serial S427F97DA6505/)
  })

  it('changes only what is said, tags one by one', async () => {
    const set = ['machines', 'set', 'golden']
    await shell.run([...set, '--image', 'ubuntu-24.04', '--tag', 'c', '--untag', 'a'])
    await shell.run([
      ...set,
      '--disk-serial',
      'S4EV',
      '--network',
      '192.0.2.7/24',
      '--gateway',
      '192.0.2.1',
    ])
    assert.partialDeepStrictEqual(await read(), {
      name: 'golden',
      image: 'ubuntu-24.04',
      tags: ['b', 'c'],
      disk: { serial: 'S4EV' },
      network: { address: '192.0.2.7/24', gateway: '192.0.2.1' },
    })
    await shell.run([...set, '--no-image', '--no-disk', '--no-network'])
    const { image, disk, network, tags } = await read()
    assert.deepEqual(
      { image, disk, network, tags },
      { image: undefined, disk: undefined, network: undefined, tags: ['b', 'c'] },
    )
    assert.equal((await shell.run(set)).code, 2)
  })

  it('locks and unlocks', async () => {
    assert.equal((await shell.run(['machines', 'lock', 'golden'])).code, 0)
    assert.equal((await read()).locked, true)
    assert.equal((await shell.run(['machines', 'unlock', MAC])).code, 0)
    assert.equal((await read()).locked, false)
  })

  it('prints the iPXE script without a token', async () => {
    const { stdout } = await shell.run(['machines', 'script', 'rack1-node02'])
    assert.match(stdout, /^#!ipxe\n/)
    assert.match(stdout, /stampede\.token=<token>/)
  })

  it('lets no name steer the terminal', async () => {
    const name = 'evil\u001b]0;owned\u0007\u001b[2J'
    await app.call('PUT', '/api/machines/52:54:00:ee:00:01', { name })
    for (const args of [
      ['machines', 'ls', '-q', 'evil'],
      ['machines', 'show', '52:54:00:ee:00:01'],
    ]) {
      const { stdout } = await shell.run(args)
      assert.match(stdout, /evil/)
      // oxlint-disable-next-line no-control-regex
      assert.doesNotMatch(stdout, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
    }
  })

  it('forgets a machine only when that was typed or said', async () => {
    const gone = '52:54:00:ee:00:02'
    await app.call('PUT', `/api/machines/${gone}`, {})
    assert.equal((await shell.run(['machines', 'rm', gone])).code, 2)
    const wrong = shell.startOnTerminal(['machines', 'rm', gone])
    await wrong.waitFor('Type 1 to go on')
    wrong.write('yes\n')
    assert.equal((await wrong.ended).code, 6)
    assert.equal((await app.call('GET', `/api/machines/${gone}`)).status, 200)
    assert.equal((await shell.run(['machines', 'rm', gone, '--yes'])).code, 0)
    assert.equal((await app.call('GET', `/api/machines/${gone}`)).status, 404)
  })

  it('tells who was refused in a change of several', async () => {
    const { code, stderr } = await shell.run(['machines', 'rm', 'golden', 'rack1-node02', '--yes'])
    assert.equal(code, 6)
    assert.match(stderr, /52:54:00:00:00:01: .*cancel it first/)
    assert.equal((await app.call('GET', `/api/machines/${MAC}`)).status, 404)
  })
})
