import assert from 'node:assert/strict'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Machine as KnownMachine } from '#protocol/machine/machine.ts'
import { run as runCommand } from '#lab/command.ts'
import { fileHash, writeDirtyExt4, writeMdMembers } from '#lab/disk-content.ts'
import type { Disk } from '#lab/disk.ts'
import type { Machine } from '#lab/machine.ts'
import { openLabNetwork } from '#lab/network.ts'
import type { LabNetwork } from '#lab/network.ts'
import { createLabDisk, openLabMachine, runToSuccess } from '#lab/scenario.ts'
import type { Lab } from '#lab/scenario.ts'
import { openLabServer } from '#lab/server.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'
const MAC = '52:54:00:5a:02:01'
const DNSMASQ = '10.203.0.2'
const MIB = 1024 ** 2
/** From power on to the inventory, under emulation. */
const INVENTORY_DEADLINE_MS = 5 * 60_000

describe('beside the DHCP server of the network', { skip: NEEDS_ROOT }, () => {
  const opened = new AsyncDisposableStack()
  let folder: string
  let network: LabNetwork

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-e2e-'))
    opened.defer(() => rm(folder, { recursive: true, force: true }))
    network = opened.use(await openLabNetwork())
    await startDnsmasq(network, folder)
  })
  after(() => opened.disposeAsync())

  it('refuses to start as another DHCP server, and names the one that answers', async () => {
    const serverFolder = path.join(folder, 'refused')
    await assert.rejects(
      openLabServer({ network, folder: serverFolder, dhcp: 'server' }),
      (error: Error) => error.message.includes(DNSMASQ),
    )
  })

  it('inventories and captures without a change to any disk, in proxy mode', async () => {
    const serverFolder = path.join(folder, 'server')
    await using server = await openLabServer({ network, folder: serverFolder, dhcp: 'proxy' })
    const lab: Pick<Lab, 'network' | 'server' | 'folder'> = { network, server, folder }
    const { disks, assertUnchanged } = await makeDelicateDisks(folder)
    const settings = { name: 'delicate', mac: MAC, firmware: 'bios' } as const
    await using machine = await openLabMachine(lab, { ...settings, disks })

    const known = await waitForInventory(lab, machine)
    const serials = known.inventory?.disks.map(({ serial }) => serial)
    assert.deepEqual(serials?.toSorted(), disks.map(({ serial }) => serial).toSorted())
    const leases = await readFile(path.join(folder, 'leases'), 'utf8')
    assert.match(leases, new RegExp(`${MAC} 10\\.203\\.0\\.[5-7]\\d `))
    await assertUnchanged()

    const { id } = await server.api.startRun({
      mac: MAC,
      workflow: 'capture',
      image: 'delicate',
      disk: { serial: disks[0]!.serial },
    })
    await machine.reset()
    await runToSuccess(lab, machine, id)
    await machine.kill()
    await assertUnchanged()
  })
})

async function startDnsmasq(network: LabNetwork, folder: string): Promise<void> {
  const host = await network.openHost({ address: `${DNSMASQ}/24` })
  const dnsmasq = host.spawn(
    'dnsmasq',
    [
      ['--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root', '--no-ping'],
      ['--interface=eth0', '--bind-interfaces', '--dhcp-range=10.203.0.50,10.203.0.79'],
      [`--dhcp-leasefile=${path.join(folder, 'leases')}`, '--log-facility=-', '--pid-file='],
    ].flat(),
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  // It says so once it answers.
  let said = ''
  for await (const text of dnsmasq.stderr!)
    if ((said += String(text)).includes('DHCP, IP range')) return
  throw new Error(`dnsmasq ended: ${said}`)
}

/**
 * Disks that change if anyone is careless: a journal to replay, a RAID to assemble and an LV to
 * activate. None can boot, since a system that runs from one would change it.
 */
async function makeDelicateDisks(
  folder: string,
): Promise<{ disks: Disk[]; assertUnchanged: () => Promise<void> }> {
  const place = { folder }
  const volume = await createLabDisk(place, {
    machine: 'delicate',
    bus: 'virtio',
    name: 'lvm',
    content: 'a',
  })
  const withoutBootCode = ['-f', volume.format, '-c', 'write -q -P 0 0 440', volume.file]
  await runCommand('qemu-io', withoutBootCode)
  const reference = `${volume.file}.reference`
  await copyFile(volume.file, reference)

  const files = ['dirty', 'md0', 'md1'].map((name) => path.join(folder, 'delicate', `${name}.raw`))
  const [dirty, ...members] = files as [string, string, string]
  await writeDirtyExt4(dirty, 64 * MIB)
  await writeMdMembers(members, 32 * MIB)
  const hashes = await Promise.all(files.map(fileHash))
  const raw = files.map((file): Disk => ({
    file,
    format: 'raw',
    bus: 'virtio',
    serial: path.basename(file, '.raw').toUpperCase(),
  }))

  return {
    disks: [...raw, volume],
    async assertUnchanged() {
      assert.deepEqual(await Promise.all(files.map(fileHash)), hashes)
      // The machine still holds its lock on the disk.
      const compare = ['compare', '-U', '-f', 'qcow2', '-F', 'qcow2', reference, volume.file]
      await runCommand('qemu-img', compare)
    },
  }
}

async function waitForInventory(
  { server }: Pick<Lab, 'server'>,
  machine: Machine,
): Promise<KnownMachine> {
  const deadline = Date.now() + INVENTORY_DEADLINE_MS
  for (;;) {
    const { items } = await server.api.get<{ items: KnownMachine[] }>('/api/machines')
    const known = items.find(({ mac }) => mac === MAC)
    if (known?.inventory) return known
    if (Date.now() > deadline)
      throw new Error(
        `No inventory came; the machine's console ends:\n${await machine.console.tail()}\n` +
          `and the server's log:\n${await server.logTail()}`,
      )
    await new Promise((resolve) => setTimeout(resolve, 500))
  }
}
