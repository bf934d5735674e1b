import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openLabNetwork, type LabHost, type LabNetwork } from '#lab/network.ts'
import { openLabServer, type LabServer } from '#lab/server.ts'
import type { Lease } from '#protocol/lease.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'

const MAIN = join(import.meta.dirname, '../../../server/main.ts')
const NOBODY = 65_534

/** Sends what a BIOS PXE ROM would, and keeps the address it gets. */
const UDHCPC = ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '5', '-T', '2', '-s', '/bin/true']
const PXE = ['-V', 'PXEClient:Arch:00000:UNDI:002001', '-x', '0x5d:0000', '-x', '0x5e:010201']

describe('the server on a network', { skip: NEEDS_ROOT }, () => {
  let opened: AsyncDisposableStack
  let network: LabNetwork
  let server: LabServer
  before(async () => {
    opened = new AsyncDisposableStack()
    const folder = opened.use(await mkdtempDisposable(join(tmpdir(), 'stampede-network-')))
    network = opened.use(await openLabNetwork({ subnet: '10.79.0.0/24' }))
    server = opened.use(await openLabServer({ network, folder: folder.path }))
  })
  after(() => opened.disposeAsync())

  const url = (path: string) => `http://${network.address}:8080${path}`
  const fetchFrom = (host: LabHost, path: string) => host.run('curl', ['-sS', url(path)])

  async function macOf(host: LabHost): Promise<string> {
    const [link] = JSON.parse(await host.run('ip', ['-j', 'link', 'show', 'eth0'])) as [
      { address: string },
    ]
    return link.address
  }

  it('leases an address to a machine, and remembers both', async () => {
    const host = await network.openHost()
    const mac = await macOf(host)
    await host.run('busybox', [...UDHCPC, ...PXE])
    const leases = await server.api.get<{ items: Lease[] }>('/api/leases')
    const lease = leases.items.find((one) => one.mac === mac)
    assert.equal(lease?.state, 'bound')
    const machine = await server.api.get<Machine>(`/api/machines/${mac}`)
    assert.equal(machine.state, 'discovered')
  })

  it('leases an address to what does not boot from the network, which is no machine for that', async () => {
    const host = await network.openHost()
    const mac = await macOf(host)
    await host.run('busybox', UDHCPC)
    const leases = await server.api.get<{ items: Lease[] }>('/api/leases')
    assert.ok(leases.items.some((one) => one.mac === mac))
    await assert.rejects(server.api.get(`/api/machines/${mac}`), /404/)
  })

  it('tells a machine the name of its reservation, and gives it that address', async () => {
    const host = await network.openHost()
    const reservation = { address: '10.79.0.90', hostname: 'rack3-node7' }
    await server.api.put(`/api/reservations/${await macOf(host)}`, reservation)
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-udhcpc-'))
    const script = join(folder.path, 'script')
    await writeFile(script, '#!/bin/sh\n[ $1 = bound ] && echo "got $ip $hostname"\n', {
      mode: 0o755,
    })
    const output = await host.run('busybox', [...UDHCPC, '-s', script, ...PXE])
    assert.match(output, /got 10\.79\.0\.90 rack3-node7/)
  })

  it('leaves the address of a deployed system to its machine, which may be switched off', async () => {
    const address = '10.79.0.120'
    const [owner, other] = [await network.openHost(), await network.openHost()]
    const macs = [await macOf(owner), await macOf(other)]
    await server.api.put(`/api/machines/${macs[0]}`, { network: { address: `${address}/24` } })
    await other.run('busybox', [...UDHCPC, '-r', address, ...PXE])
    await owner.run('busybox', [...UDHCPC, ...PXE])
    const leases = await server.api.get<{ items: Lease[] }>('/api/leases')
    const holder = leases.items.find((lease) => lease.address === address)?.mac
    assert.equal(holder, macs[0])
    assert.ok(leases.items.some(({ mac }) => mac === macs[1]))
  })

  it('refuses to reserve an address that it would never give', async () => {
    const reserve = (address: string) =>
      server.api.put('/api/reservations/52:54:00:00:00:99', { address })
    await assert.rejects(reserve('10.97.0.20'), /10\.97\.0\.20 is not an address of a host there/)
    await assert.rejects(reserve('10.79.0.255'), /not an address of a host there/)
    await assert.rejects(reserve('10.79.0.1'), /10\.79\.0\.1 is this server's own/)
    await reserve('10.79.0.99')
  })

  it('gives a boot token to the card that it is for, and to no other', async () => {
    const machine = await network.openHost({ address: '10.79.0.20/24' })
    const other = await network.openHost({ address: '10.79.0.21/24' })
    const mac = await macOf(machine)
    await server.api.put(`/api/machines/${mac}`, {})
    await server.api.startRun({ mac, workflow: 'wipe' })
    assert.doesNotMatch(await fetchFrom(other, `/boot/${mac}.ipxe`), /stampede\.token=/)
    const local = await network.run('curl', ['-sS', url(`/boot/${mac}.ipxe`)])
    assert.doesNotMatch(local, /stampede\.token=/)
    assert.match(await fetchFrom(machine, `/boot/${mac}.ipxe`), /stampede\.token=/)
  })

  it('serves boot files by TFTP and HTTP alike', async () => {
    const host = await network.openHost({ address: '10.79.0.22/24' })
    const sums = []
    for (const address of [`tftp://${network.address}/snponly.efi`, url('/boot/files/snponly.efi')])
      sums.push(await host.run('sh', ['-c', `curl -sSf ${address} | sha256sum`]))
    assert.equal(sums[0], sums[1])
    assert.doesNotMatch(sums[0]!, /^e3b0c442/) // of nothing
  })

  it('a second one on the network refuses to start, naming the first, before it makes a database', async () => {
    const host = await network.openHost({ address: '10.79.0.30/24' })
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-data-'))
    const { code, errors } = await startAndFail(host, [process.execPath, MAIN], {
      STAMPEDE_DATA: folder.path,
      STAMPEDE_DHCP: 'server',
      STAMPEDE_DHCP_RANGE: '10.79.0.50-10.79.0.60',
    })
    assert.equal(code, 1)
    assert.match(errors, /Another DHCP server answers on eth0: 10\.79\.0\.1; stop it/)
    assert.deepEqual(await readdir(folder.path), ['lock'])
  })

  it('says which port it may not open', async () => {
    const host = await network.openHost({ address: '10.79.0.31/24' })
    await using folder = await openDataFolder()
    await host.run('chown', ['-R', `${NOBODY}:${NOBODY}`, folder.path])
    const nobody = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
    const { code, errors } = await startAndFail(host, [...nobody, process.execPath, MAIN], {
      STAMPEDE_DATA: folder.path,
    })
    assert.equal(code, 1)
    assert.match(errors, /TFTP cannot listen on 10\.79\.0\.31 port 69: no permission; run as root/)
  })

  /** With a database, which would take most of the time. */
  async function openDataFolder(): Promise<AsyncDisposable & { path: string }> {
    const folder = await mkdtempDisposable(join(tmpdir(), 'stampede-data-'))
    await putEmbeddedDatabase(folder.path)
    return { path: folder.path, [Symbol.asyncDispose]: () => folder.remove() }
  }

  async function startAndFail(host: LabHost, command: string[], env: Record<string, string>) {
    const child = host.spawn(command[0]!, command.slice(1), {
      env: cleanEnvironment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let errors = ''
    child.stderr?.on('data', (text) => (errors += text))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, errors }
  }
})
