import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openLabNetwork, type LabHost, type LabNetwork } from '#lab/network.ts'
import { openLabServer, type LabServer } from '#lab/server.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import type { NetworkStatus } from '#protocol/network-status.ts'
import type { CheckName, SystemStatus } from '#protocol/system-status.ts'
import { NEEDS_ROOT, startDnsmasq } from '#test/server/dhcp/dhcp-lab.ts'
import { openEventStream, type EventStream } from '#test/support/event-stream.ts'

/** One DISCOVER as of a BIOS PXE ROM, and no more: udhcpc gives up when nobody offers an address. */
const ONE_DISCOVER = ['-t', '1', '-T', '2', '-n', '-q', '-f', '-s', '/bin/true']
const PXE = ['-V', 'PXEClient:Arch:00000:UNDI:002001', '-x', '0x5d:0000', '-x', '0x5e:010201']
const OTHER = '10.77.0.5'

describe('beside the DHCP server of the network', { skip: NEEDS_ROOT }, () => {
  let opened: AsyncDisposableStack
  let network: LabNetwork
  let server: LabServer
  let folder: string
  before(async () => {
    opened = new AsyncDisposableStack()
    folder = opened.use(await mkdtempDisposable(join(tmpdir(), 'stampede-beside-'))).path
    network = opened.use(await openLabNetwork({ subnet: '10.77.0.0/24' }))
    server = opened.use(await openLabServer({ network, folder, dhcp: 'proxy' }))
  })
  after(() => opened.disposeAsync())

  function follow(): Promise<EventStream> {
    const { url, token } = server.api
    return openEventStream({ port: Number(new URL(url).port) }, undefined, {
      authorization: `Bearer ${token}`,
    })
  }

  async function macOf(host: LabHost): Promise<string> {
    const [link] = JSON.parse(await host.run('ip', ['-j', 'link', 'show', 'eth0'])) as [
      { address: string },
    ]
    return link.address
  }

  async function check(name: CheckName) {
    const { checks } = await server.api.get<SystemStatus>('/api/system')
    return checks.find((one) => one.name === name)
  }

  it('a machine appears with its first packet, before anybody gave it an address', async () => {
    const host = await network.openHost()
    const mac = await macOf(host)
    await using events = await follow()
    const asking = host.run('busybox', ['udhcpc', '-i', 'eth0', ...ONE_DISCOVER, ...PXE])
    const heard = await events.until(({ event }) => event !== 'heartbeat')
    await assert.rejects(asking) // nobody offered anything: that packet was all
    const { event, data } = heard.at(-1)!
    const machine = data as unknown as Machine
    assert.deepEqual(
      [event, machine.mac, machine.state, machine.boot?.stages.map(({ stage }) => stage)],
      ['machine', mac, 'discovered', ['dhcp']],
    )
    assert.equal(machine.boot?.stages[0]?.detail, 'BIOS')
  })

  it('without one, says that nobody gives out addresses', async () => {
    const { dhcp, interfaces, otherServers } = await server.api.get<NetworkStatus>('/api/network')
    assert.deepEqual([dhcp, otherServers], [{ mode: 'proxy', dns: [] }, []])
    assert.deepEqual(
      interfaces.map(({ name, address, prefix }) => [name, address, prefix]),
      [['lab0', '10.77.0.1', 24]],
    )
    const found = await check('other-dhcp-servers')
    assert.equal(found?.ok, false)
    assert.match(found.message, /No DHCP server was heard/)
  })

  it('hears of a new one when somebody takes its offer, and tells at once', async () => {
    await startDnsmasq(await network.openHost({ address: `${OTHER}/24` }), folder)
    const host = await network.openHost()
    await using events = await follow()
    // udhcpc is no PXE ROM: with their options it would take our offer, which has no address.
    // dnsmasq pings an address for 3 s before it offers it.
    const patient = ['-t', '5', '-T', '4', '-n', '-q', '-f', '-s', '/bin/true']
    await host.run('busybox', ['udhcpc', '-i', 'eth0', ...patient])
    const seen = await events.until(({ event }) => event === 'notice')
    assert.partialDeepStrictEqual(seen.at(-1)?.data, { code: 'other-dhcp-server', address: OTHER })
    assert.ok(!seen.some(({ event }) => event === 'machine')) // nothing booted
    const { otherServers } = await server.api.get<NetworkStatus>('/api/network')
    assert.deepEqual(
      otherServers.map(({ address }) => address),
      [OTHER],
    )
    assert.deepEqual(await check('other-dhcp-servers'), {
      name: 'other-dhcp-servers',
      ok: true,
      message: `Addresses come from ${OTHER}`,
    })
  })

  it('a boot goes on in the stream as the machine loads its files', async () => {
    const host = await network.openHost({ address: '10.77.0.20/24' })
    const mac = await macOf(host)
    await using events = await follow()
    const stagesUntil = async (stage: string) => {
      const seen = await events.until(({ event, data }) => {
        const machine = data as unknown as Machine
        const isOurs = event === 'machine' && machine.mac === mac
        return isOurs && !!machine.boot?.stages.some((one) => one.stage === stage)
      })
      const { boot } = seen.at(-1)!.data as unknown as Machine
      return boot?.stages.map((one) => [one.stage, one.detail])
    }
    const discover = ['udhcpc', '-i', 'eth0', ...ONE_DISCOVER, ...PXE]
    await host.run('busybox', discover).catch(() => {}) // whether dnsmasq is quick enough is all the same
    assert.deepEqual(await stagesUntil('dhcp'), [['dhcp', 'BIOS']])
    await host.run('ip', ['address', 'replace', '10.77.0.20/24', 'dev', 'eth0'])
    await host.run('curl', ['-sSf', '-o', '/dev/null', `tftp://${network.address}/undionly.kpxe`])
    assert.deepEqual(await stagesUntil('loader'), [
      ['dhcp', 'BIOS'],
      ['loader', 'undionly.kpxe by TFTP'],
    ])
    await host.run('curl', ['-sSf', `http://${network.address}:8080/boot/${mac}.ipxe`])
    const [, , script] = (await stagesUntil('script')) ?? []
    assert.match(script?.[1] ?? '', /inventory/)
  })

  it('after a restart looks for it, and knows when it was first heard', async () => {
    const [before] = (await server.api.get<NetworkStatus>('/api/network')).otherServers
    await server.kill()
    await server.start()
    const deadline = Date.now() + 60_000
    let latest = before
    while (latest?.lastHeardAt === before?.lastHeardAt && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      latest = (await server.api.get<NetworkStatus>('/api/network')).otherServers[0]
    }
    assert.equal(latest?.firstHeardAt, before?.firstHeardAt)
    assert.ok(latest!.lastHeardAt > before!.lastHeardAt)
  })
})
