import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  type DhcpLab,
  follow,
  type Line,
  NEEDS_ROOT,
  openDhcpLab,
  writeClientScript,
} from './dhcp-lab.ts'

const leaseIs = (state: string) => (line: Line) =>
  line.kind === 'lease' && (line['lease'] as { state: string }).state === state

/** Forgets what the server said so far. */
const mark = ({ server }: DhcpLab) => server.lines.length

describe('real DHCP clients', { skip: NEEDS_ROOT, concurrency: 2 }, () => {
  it('udhcpc gets, renews and releases a lease', async () => {
    await using lab = await openDhcpLab({ router: '10.77.0.254' })
    const host = await lab.network.openHost()
    const script = await writeClientScript(lab.folder)
    const args = ['udhcpc', '-f', '-i', 'eth0', '-s', script, '-x', 'hostname:rack3']
    await using client = follow(host.spawn('busybox', args, { stdio: 'pipe' }))

    const bound = await client.waitFor(({ kind }) => kind === 'bound')
    assert.partialDeepStrictEqual(bound, {
      address: '10.77.0.10',
      router: '10.77.0.254',
      dns: '10.9.9.9',
    })
    const lease = await lab.server.waitFor(leaseIs('bound'))
    assert.partialDeepStrictEqual(lease, { lease: { hostname: 'rack3', address: '10.77.0.10' } })

    const before = mark(lab)
    client.process.kill('SIGUSR1')
    await client.waitFor(({ kind }) => kind === 'renew')
    await lab.server.waitFor(leaseIs('bound'), before)

    client.process.kill('SIGUSR2')
    await lab.server.waitFor(leaseIs('released'), before)
  })

  it('dhclient gets a lease, renews it in time, finds it after a reboot and releases it', async () => {
    await using lab = await openDhcpLab({ leaseSeconds: 8 })
    const host = await lab.network.openHost()
    const files = ['-lf', join(lab.folder, 'leases'), '-pf', join(lab.folder, 'pid')]
    const script = await writeClientScript(lab.folder)
    const args = ['-4', ...files, '-sf', script, '-cf', '/dev/null', 'eth0']
    const start = () => follow(host.spawn('dhclient', ['-d', ...args], { stdio: 'pipe' }))

    const first = start()
    const bound = await first.waitFor(({ kind }) => kind === 'BOUND')
    assert.equal(bound['address'], '10.77.0.10')
    await first.waitFor(({ kind }) => kind === 'RENEW')
    await first[Symbol.asyncDispose]()

    await using second = start()
    const rebooted = await second.waitFor(({ kind }) => kind === 'REBOOT')
    assert.equal(rebooted['address'], '10.77.0.10')
    const before = mark(lab)
    const release = host.spawn('dhclient', ['-r', ...args], { stdio: 'ignore' })
    await once(release, 'exit')
    await lab.server.waitFor(leaseIs('released'), before)
  })

  it('the client of npm’s "dhcp" gets a lease', async () => {
    await using lab = await openDhcpLab({ router: '10.77.0.254' })
    const host = await lab.network.openHost()
    // It sends from the wildcard address, for which the kernel wants a route.
    await host.run('ip', ['route', 'add', '255.255.255.255', 'dev', 'eth0'])
    const program = `
      const client = require('dhcp').createClient({ mac: '52:54:00:00:00:77' })
      client.on('bound', (state) => {
        console.log(JSON.stringify({ kind: 'bound', address: state.address }))
        process.exit()
      })
      // It never repeats a packet by itself, and a port that has just joined a bridge may lose one.
      client.on('listening', () => {
        client.sendDiscover()
        setInterval(() => client.sendDiscover(), 3000)
      })
      client.listen()
    `
    const cwd = fileURLToPath(new URL('../../..', import.meta.url))
    await using client = follow(
      host.spawn(process.execPath, ['-e', program], { cwd, stdio: 'pipe' }),
    )
    const bound = await client.waitFor(({ kind }) => kind === 'bound')
    assert.equal(bound['address'], '10.77.0.10')
    await lab.server.waitFor(leaseIs('bound'))
  })

  it('perfdhcp, as a relay of 50 machines at 20 a second, loses nothing', async () => {
    await using lab = await openDhcpLab({ range: '10.77.0.100-10.77.0.199' })
    const host = await lab.network.openHost({ address: '10.77.0.2/24' })
    await host.run('ping', ['-c', '1', '-w', '10', '10.77.0.1']) // until its port carries packets
    // A new address is probed for half a second, so the default patience of 1 s would be tight.
    const args = ['-4', '-r', '20', '-n', '50', '-R', '50', '-d', '5', '-W', '3000000']
    const output = await host.run('perfdhcp', [...args, '-l', 'eth0', '10.77.0.1'])
    const drops = [...output.matchAll(/drops: (\d+)/g)].map(([, count]) => count)
    assert.deepEqual(drops, ['0', '0'], output)
    const received = [...output.matchAll(/received packets: (\d+)/g)].map(([, count]) => count)
    assert.deepEqual(received, ['50', '50'], output)
    const addresses = new Set(
      lab.server.lines.filter(leaseIs('bound')).map((line) => (line['lease'] as Line)['address']),
    )
    assert.equal(addresses.size, 50)
  })

  it('udhcpc gets a lease through dhcrelay', async () => {
    await using lab = await openDhcpLab()
    const relay = await lab.network.openHost({ address: '10.77.0.200/24' })
    const machine = await lab.network.openHost()
    // The machine's card leaves the bridge for a wire to the relay, which has an address of the pool's network.
    const ip = (...args: string[]) => relay.run('ip', args)
    await machine.run('ip', ['link', 'del', 'eth0'])
    await ip(
      'link',
      'add',
      'down0',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      machine.namespace,
    )
    await ip('address', 'add', '10.77.0.201/32', 'dev', 'down0')
    await ip('link', 'set', 'down0', 'up')
    await machine.run('ip', ['link', 'set', 'eth0', 'up'])
    const relayArgs = ['-d', '-4', '-a', '-id', 'down0', '-iu', 'eth0', '10.77.0.1']
    relay.spawn('dhcrelay', relayArgs, { stdio: 'ignore' })

    const script = await writeClientScript(lab.folder)
    const args = ['udhcpc', '-f', '-i', 'eth0', '-s', script, '-t', '10', '-T', '1']
    await using client = follow(machine.spawn('busybox', args, { stdio: 'pipe' }))
    const bound = await client.waitFor(({ kind }) => kind === 'bound')
    assert.equal(bound['address'], '10.77.0.10')
  })
})
