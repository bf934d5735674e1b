import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type LabHost, openLabNetwork } from '#lab/network.ts'
import { findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { parseIpv4 } from '#protocol/ipv4.ts'
import {
  exchange,
  follow,
  type Line,
  NEEDS_ROOT,
  openDhcpLab,
  startDnsmasq,
  startServer,
  writeClientScript,
} from './dhcp-lab.ts'
import { MACHINE, OTHER, packetFrom } from './packets.ts'

const PROGRAM = fileURLToPath(new URL('dhcp-program.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const bios = packetFrom('discover', { architecture: 0 })

/** Runs probeForServers inside a namespace. */
async function probeFrom(host: Pick<LabHost, 'spawn' | 'interface'>): Promise<Line> {
  const program = `
    import { probeForServers } from '#server/dhcp/probe-for-servers.ts'
    console.log(JSON.stringify({ kind: 'servers', servers: await probeForServers('${host.interface}') }))`
  const args = ['--input-type=module', '-e', program]
  const child = host.spawn(process.execPath, args, { cwd: ROOT, stdio: 'pipe' })
  return await follow(child).waitFor(({ kind }) => kind === 'servers')
}

describe('DHCP on a network', { skip: NEEDS_ROOT, concurrency: 2 }, () => {
  it('is heard and answered on the configured interface only', async () => {
    await using lab = await openDhcpLab()
    const host = await lab.network.openHost()
    const { namespace } = lab.network
    await host.run('ip', [
      'link',
      'add',
      'eth1',
      'type',
      'veth',
      'peer',
      'name',
      'other0',
      'netns',
      namespace,
    ])
    await host.run('ip', ['link', 'set', 'eth1', 'up'])
    await lab.network.run('ip', ['address', 'add', '10.78.0.1/24', 'dev', 'other0'])
    await lab.network.run('ip', ['link', 'set', 'other0', 'up'])

    assert.deepEqual(await exchange(host, [bios], { interface: 'eth1', answers: 0 }), [])
    assert.ok(!lab.server.lines.some(({ kind }) => kind === 'seen'))
    const [answer] = await exchange(host, [bios])
    assert.equal(answer?.packet.yiaddr, '10.77.0.10')
    assert.equal(answer?.address, '10.77.0.1')
  })

  it('never offers an address that somebody uses without a lease', async () => {
    await using lab = await openDhcpLab()
    await lab.network.openHost({ address: '10.77.0.10/24' })
    const host = await lab.network.openHost()
    const [answer] = await exchange(host, [packetFrom('discover')])
    assert.equal(answer?.packet.yiaddr, '10.77.0.11')
    const event = await lab.server.waitFor(({ kind }) => kind === 'address-in-use')
    assert.equal(event['address'], '10.77.0.10')
  })

  it('never offers another address of its own host', async () => {
    await using lab = await openDhcpLab()
    await lab.network.run('ip', ['address', 'add', '10.77.0.10/24', 'dev', 'lab0'])
    const host = await lab.network.openHost()
    const [answer] = await exchange(host, [packetFrom('discover')])
    assert.equal(answer?.packet.yiaddr, '10.77.0.11')
    const event = await lab.server.waitFor(({ kind }) => kind === 'address-in-use')
    assert.equal(event['address'], '10.77.0.10')
  })

  it('reports an empty pool and goes on', async () => {
    await using lab = await openDhcpLab({ range: '10.77.0.10-10.77.0.10' })
    const host = await lab.network.openHost()
    const answers = await exchange(host, [
      packetFrom('discover'),
      packetFrom('discover', { mac: OTHER }),
    ])
    assert.equal(answers.length, 1)
    await lab.server.waitFor(({ kind }) => kind === 'pool-exhausted')
    const mac = Buffer.from(answers[0]!.packet.hardwareAddress).toString('hex')
    const request = packetFrom('request', { mac, serverId: '10.77.0.1', requested: '10.77.0.10' })
    const [ack] = await exchange(host, [request])
    assert.equal(findMessage(ack!.packet), 'ack')
  })

  it('answers known machines only, when told so, and gives them what is reserved', async () => {
    await using lab = await openDhcpLab({
      known: [MACHINE],
      reservations: [{ mac: MACHINE, address: '10.77.0.99' }],
    })
    const host = await lab.network.openHost()
    const packets = [packetFrom('discover', { mac: OTHER }), packetFrom('discover')]
    const answers = await exchange(host, packets)
    assert.deepEqual(
      answers.map(({ packet }) => packet.yiaddr),
      ['10.77.0.99'],
    )
    assert.ok(!lab.server.lines.some(({ mac }) => mac === OTHER))
  })

  it('tells what it saw, and that there is no boot file', async () => {
    await using lab = await openDhcpLab()
    const host = await lab.network.openHost()
    const [answer] = await exchange(host, [packetFrom('discover', { architecture: 11 })])
    assert.partialDeepStrictEqual(answer?.packet, { yiaddr: '10.77.0.10', bootFileName: '' })
    const seen = await lab.server.waitFor(({ kind }) => kind === 'seen')
    assert.deepEqual(seen, { kind: 'seen', mac: MACHINE, stage: 'dhcp', firmware: 'efi-arm64' })
    const event = await lab.server.waitFor(({ kind }) => kind === 'no-boot-file')
    assert.partialDeepStrictEqual(event, { firmware: 'efi-arm64', architectures: [11] })
  })

  it('works on sockets that another program opened, as systemd does', async () => {
    await using network = await openLabNetwork({ subnet: '10.77.0.0/24' })
    const host = await network.openHost()
    const settings = JSON.stringify({
      mode: 'proxy',
      interface: 'lab0',
      address: '10.77.0.1/24',
      inherited: { dhcp: 3, bootServer: 4 },
    })
    const opener = `
      import { spawn } from 'node:child_process'
      import { openUdpDescriptor } from '#server/dhcp/system-calls.ts'
      const sockets = [openUdpDescriptor('lab0', 67), openUdpDescriptor('lab0', 4011)]
      spawn(process.execPath, ['${PROGRAM}', '${settings}'], {
        stdio: ['inherit', 'inherit', 'inherit', ...sockets],
      })`
    const args = ['--input-type=module', '-e', opener]
    const child = network.spawn(process.execPath, args, { cwd: ROOT, stdio: 'pipe' })
    await using server = follow(child)
    await server.waitFor(({ kind }) => kind === 'ready')
    const [answer] = await exchange(host, [bios])
    assert.equal(answer?.packet.bootFileName, 'undionly.kpxe')
  })

  it('says in a sentence why it cannot start', async () => {
    await using lab = await openDhcpLab()
    for (const [settings, message] of [
      [{}, /UDP port 67 on interface "lab0": another program uses the port/],
      [{ interface: 'nope0' }, /interface "nope0": there is no such interface/],
      [{ interface: 'nope0', mode: 'proxy' }, /UDP port 67 on interface "nope0": there is no such/],
    ] as const) {
      await using second = await startServer(lab.network, settings)
      const line = await second.waitFor(({ kind }) => kind === 'failed')
      assert.match(line['message'] as string, message)
    }
    const setuid = [
      '--reuid',
      '65534',
      '--clear-groups',
      '--bounding-set',
      '-all',
      process.execPath,
    ]
    const program = `import('#server/dhcp/system-calls.ts').then((calls) => {
      try { calls.openUdpDescriptor('lab0', 67) }
      catch ({ message }) { console.log(JSON.stringify({ kind: 'failed', message })) } })`
    const child = lab.network.spawn('setpriv', [...setuid, '-e', program], {
      cwd: ROOT,
      stdio: 'pipe',
    })
    const line = await follow(child).waitFor(({ kind }) => kind === 'failed')
    assert.match(line['message'] as string, /no permission/)
  })
})

describe('beside another DHCP server', { skip: NEEDS_ROOT, concurrency: 2 }, () => {
  it('mode proxy gives boot information, dnsmasq the address', async () => {
    await using lab = await openDhcpLab({ mode: 'proxy' })
    const other = await lab.network.openHost({ address: '10.77.0.5/24' })
    await startDnsmasq(other, lab.folder)
    const host = await lab.network.openHost()

    // dnsmasq pings an address for 3 s before it offers it.
    const answers = await exchange(host, [{ ...bios, broadcast: true }], { answers: 2 })
    const bySender = new Map(answers.map(({ address, packet }) => [address, packet]))
    assert.deepEqual(new Set(bySender.keys()), new Set(['10.77.0.1', '10.77.0.5']))
    assert.match(bySender.get('10.77.0.5')!.yiaddr, /^10\.77\.0\.1[56]/)
    assert.partialDeepStrictEqual(bySender.get('10.77.0.1'), {
      yiaddr: '0.0.0.0',
      siaddr: '10.77.0.1',
      bootFileName: 'undionly.kpxe',
    })

    const script = await writeClientScript(lab.folder)
    const args = ['udhcpc', '-f', '-i', 'eth0', '-s', script]
    await using client = follow(host.spawn('busybox', args, { stdio: 'pipe' }))
    const bound = await client.waitFor(({ kind }) => kind === 'bound')
    assert.match(bound['address'] as string, /^10\.77\.0\.1[56]/)

    const ciaddr = parseIpv4(bound['address'] as string)
    const request = packetFrom('request', { architecture: 7, ciaddr })
    const options = { to: '10.77.0.1', port: 4011, fromPort: 4011 }
    const [ack] = await exchange(host, [request], options)
    assert.equal(findMessage(ack!.packet), 'ack')
    assert.partialDeepStrictEqual(ack, {
      port: 4011,
      packet: { yiaddr: '0.0.0.0', bootFileName: 'snponly.efi' },
    })
  })

  it('a probe names the other server, and does not mind one that gives no addresses', async () => {
    await using lab = await openDhcpLab({ mode: 'proxy' })
    const host = await lab.network.openHost({ address: '10.77.0.3/24' })
    assert.deepEqual((await probeFrom(host))['servers'], [])
    const other = await lab.network.openHost({ address: '10.77.0.5/24' })
    await startDnsmasq(other, lab.folder)
    const own = { spawn: lab.network.spawn, interface: lab.network.bridge }
    assert.deepEqual((await probeFrom(own))['servers'], ['10.77.0.5'])
  })
})
